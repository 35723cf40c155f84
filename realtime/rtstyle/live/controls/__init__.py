"""What can be changed while a picture runs: one table, and one board that all faces share.

    keys, page, HTTP, OSC, MIDI, scenes ──ask──▶ board ──drain──▶ session (one thread)
                                        ◀─state──       ◀─publish──

`table` lists every control with its type and range, `change` reads what a face sends, `board`
passes it from any thread to the one that owns the picture. Knows nothing of sockets and devices.
"""
