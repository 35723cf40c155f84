"""A live picture: looks that change while it runs, and a rate that is kept.

Owns what a user may do to a running picture, and the models kept warm for it. Knows nothing of
cameras, windows or browsers: sources, sinks and `rtstyle.serve` are given to it or use it.
"""
