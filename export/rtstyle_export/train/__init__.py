"""Training of feed-forward style networks.

One objective, one file; the run around it is in `rtstyle_export.runs`.
"""
