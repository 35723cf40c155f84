"""The commands of `rtstyle`, one module each."""
