"""Methods that optimise one still picture.

Knows nothing of the commands that start it. Only `job` (progress) and `johnson_bench` (its tables)
write to the terminal.
"""
