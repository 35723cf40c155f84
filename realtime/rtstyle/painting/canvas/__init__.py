"""The canvas: the last painting moved along with the picture, and painted over frame after frame.

`motion` finds what moved, `laying` moves the last painting along, `bending` says where its strokes
have lost their shape, `dissolve` lets these go gently, `coherence` paints with all of them.
"""
