"""The picture of another program as a camera: NDI, Spout, Syphon. Knows nothing of real cameras."""
