"""The commands of `rtstyle`, one module each.

A command parses, calls one job and prints. `offline` has those that may take minutes for one
picture, `training` those that train. Nothing imports this package but `rtstyle.cli`.
"""
