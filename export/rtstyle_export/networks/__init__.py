"""Image transformation networks: one paper, one file.

Knows nothing of training, files or ONNX.
"""
