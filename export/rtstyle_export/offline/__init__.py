"""Methods that optimise one still picture."""
