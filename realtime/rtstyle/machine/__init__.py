"""What this computer has and gives: cores, memory, scheduling.

Knows nothing of pictures, files or models.
"""
