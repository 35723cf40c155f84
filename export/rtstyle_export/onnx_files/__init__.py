"""Networks as ONNX files: the form that is exported, and how small it is stored.

Knows nothing of training or of checkpoints.
"""
