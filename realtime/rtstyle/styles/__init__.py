"""Styles: the built-in ones, pictures as styles, and blends of them.

Owns what `--style` may be, and what a painting becomes before anything is painted with it. Knows
nothing of frames that are painted, sources or sinks.
"""
