"""Formulas of the papers: losses, gradients, fast convolutions, optimisers, VGG.

Pure functions and modules of PyTorch. Knows nothing of networks that are trained, files or runs.
"""
