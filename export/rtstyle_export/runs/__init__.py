"""A training run: configuration, loop, checkpoints, report, and what it starts from.

Knows nothing of which objective is trained.
"""
