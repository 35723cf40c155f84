"""Painting frames that follow each other as one picture that moves.

Owns the canvas. Knows engines and pictures; knows nothing of files, cameras, threads and commands.
"""
