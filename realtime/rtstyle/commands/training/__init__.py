"""The commands that train networks and export them. All need PyTorch."""
