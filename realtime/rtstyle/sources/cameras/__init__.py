"""Live sources: cameras and network streams that may go away and come back.

Knows nothing of what happens to the frames.
"""
