"""`rtstyle serve`: a web page that paints the browser's own camera, and a bare page for OBS.

    browser ──WebRTC──▶ session ─┐                       ┌─▶ session ──WebRTC──▶ browser
    server's camera ──▶ camera ──┴─▶ painter (1 thread) ─┴─▶ camera ──MJPEG──▶ /obs

`painter` shares one engine between all who want frames painted, `lobby` decides who may come in,
`guard` stands before every request. Needs the extra `serve`. Only the commands, `rtstyle.remote`
and `rtstyle.doctor` import it.

`web` speaks HTTP, `clients` WebRTC, `gallery` has what a page can choose from.
"""
