"""Pictures that may take minutes: stills, textures, and the keyframes of a video.

Owns what their methods share: paintings as they are read, sizes, colours, and the index of a run.
Knows no PyTorch: methods that need it are handed in.
"""
