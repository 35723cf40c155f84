"""Figures of networks: quality, stability, and parity with their ONNX files.

Measures only; trains and writes nothing.
"""
