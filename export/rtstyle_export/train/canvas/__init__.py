"""Training of networks that see a canvas, on photos that move."""
