"""Pictures and containers: decoding, colour, size, transparency, time stamps.

Owns the way from bytes of a file to RGB and back. Knows nothing of styles, models, or where frames
come from and go to.
"""
