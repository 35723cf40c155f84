"""A survey: which of two paintings is preferred, and which of four is by a painter.

Owns the questions, the votes and what they come to. Knows no models and paints nothing: the
pictures lie in folders. `web` has the page's routes, the rest knows nothing of HTTP.
"""
