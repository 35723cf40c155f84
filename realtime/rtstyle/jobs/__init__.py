"""Jobs with an end: a video, photos, a contact sheet, keyframes.

Owns what is read, what is written, and which outputs may be replaced. Knows nothing of the command
line: it is called with values, raises errors of `rtstyle.errors` and never prints.
"""
