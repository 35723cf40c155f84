"""A video painted in parts, each by itself, and joined: the same file as painted at once.

Owns where a video may be cut, and the parts between. Knows nothing of who paints them, or where.
"""
