"""From checkpoints to shipped files: ONNX, parity report, manifest.

The top of the package: may use every room, and only commands use it.
"""
