"""How pictures become what a file stores: encoders, transparency, palettes.

Knows nothing of files under way, of sound or of other streams.
"""
