"""Frames for other programs, in the network (NDI) or on this machine (Spout, Syphon)."""
