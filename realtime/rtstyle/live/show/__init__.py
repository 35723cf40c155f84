"""A show: scenes with names, and what keys, MIDI and OSC do in it, kept in one TOML file.

`file` reads and writes it, `player` goes through its scenes and takes in what is edited meanwhile.
"""
