"""Damaged inputs for whatever reads what others made; `scripts/fuzz` and `test_fuzz.py` run them.

`damage` makes them out of sound ones with Hypothesis, `targets` says what is done with each,
`child` does it in a process of its own, and `run` starts such processes and judges them. `corpus`
keeps what once did harm, a folder for each target: the tests run each of these files.
"""
