"""The commands that may take minutes for one picture.

Most need PyTorch, which they import when they run.
"""
