"""Control from outside: thin faces of the board of a running picture.

    `rtstyle control`, Stream Deck, OBS ──HTTP, WebSocket──▶ api ──┐
    TouchOSC, lighting desks ──────────────────────OSC─────▶ osc ──┼─▶ rtstyle.live.controls
    knobs and pads ───────────────────────────────MIDI─────▶ midi ─┘

`server` runs `api` in a thread beside a webcam; `rtstyle.serve` has it among its own routes.
`client` is the other end of it. Each library is imported inside functions: extra `stage`.
"""
