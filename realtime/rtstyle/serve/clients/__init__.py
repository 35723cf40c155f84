"""The browsers that are connected: who comes in, and the frames of each by WebRTC.

Knows nothing of HTTP.
"""
