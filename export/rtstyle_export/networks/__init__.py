"""Image transformation networks: one paper, one file."""
