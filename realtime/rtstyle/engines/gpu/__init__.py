"""Engines for graphics cards: TensorRT, ONNX Runtime on CUDA and WebGPU, and what they share.

Owns graphs for one picture size, the cache of built engines and a card's memory. Nothing here is
imported unless such a device is asked for, or looked for by `auto` and `doctor`.
"""
