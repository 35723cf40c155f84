"""Data sets of pictures, painted in styles drawn at random, with their labels as they are.

Owns which files of a data set are painted and which are copied, and the manifest of a run. What
happens to one picture is decided in `rtstyle.painting.augment`.
"""
