"""HTTP: routes, what stands before them, and what they send.

May use all of `rtstyle.serve`; only `rtstyle.serve.server` uses it.
"""
