"""What commands have in common: how they explain themselves, and how they run over many inputs.

Holds no command.
"""
