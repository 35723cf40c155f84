"""HTTP: routes, what stands before them, and what they send.

May use all of `rtstyle.serve`. `rtstyle.serve.server`, the survey and `rtstyle.remote` use it.
"""
