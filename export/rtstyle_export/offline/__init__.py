"""Methods that optimise one still picture.

Knows nothing of the commands that start it, and never prints.
"""
