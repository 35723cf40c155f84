"""Makes rtstyle's models: trains, optimises stills and writes ONNX. Needs PyTorch."""
