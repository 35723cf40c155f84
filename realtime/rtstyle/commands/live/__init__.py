"""Commands around a running picture, and `rtstyle webcam` at work.

`webcam_options` is what the user may ask of it, `webcam_run` does it: it is imported when the
command runs, as are `wiring`, `faces` and `kiosk`, which it puts together.
"""
