"""Universal style transfer, Li et al. 2017: whitening and colouring of features.

Runs on ONNX Runtime alone. Knows nothing of built-in styles.
"""
