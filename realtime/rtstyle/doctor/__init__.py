"""What works on this machine, what does not, and what would add it.

May use every room but the commands. Knows nothing of how its findings are shown.
"""
