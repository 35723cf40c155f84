"""Files by their names: what a name means, and files that appear whole or not at all.

Every file that rtstyle writes goes through here. Knows nothing of what is in the files.
"""
