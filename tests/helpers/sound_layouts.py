"""Child process of test_sound: carries sound of every layout into one kind of container.

`python sound_layouts.py write FOLDER` writes the sources, `python sound_layouts.py KIND FOLDER OUT`
prints one JSON line before and one after each case: the last line names the case of a crash.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from rtstyle.sinks.tracks.stream_copy import StreamCopier

NAMES = """
mono stereo 2.1 3.0 3.0(back) 4.0 quad quad(side) 3.1 5.0 5.0(side) 4.1 5.1 5.1(side) 6.0 6.0(front)
3.1.2 hexagonal 6.1 6.1(back) 6.1(front) 7.0 7.0(front) 7.1 7.1(wide) 7.1(wide-side) 5.1.2 octagonal
cube 5.1.4 7.1.2 7.1.4 7.2.3 9.1.4 9.1.6 hexadecagonal downmix 22.2
"""
LAYOUTS = (*NAMES.split(), *(f"{count} channels" for count in (3, 5, 7, 9, 12, 16)))
"""Every layout that FFmpeg has a name for, and some that have none."""
CODECS = {"aac": "fltp", "wavpack": "s16p", "alac": "s16p", "pcm_s16le": "s16", "pcm_u8": "u8"}
FEW = {"alac": 2, "pcm_u8": 2}
"""Codecs that are only tried with the first layouts: they decode like others."""
RATE, PIECE = 48000, 1024
PIECES = 24
GAP = range(8, 16)


def write_source(path: Path, codec: str, layout: str, gap: bool) -> None:
    """Write a tone in every channel; with `gap` its middle third is missing.

    Raises what FFmpeg raises where the codec does not have the layout.
    """
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as out:
        # By itself WavPack takes half a second at once.
        options = {"frame_size": str(PIECE)} if codec == "wavpack" else {}
        stream: Any = out.add_stream(codec, rate=RATE, options=options)
        stream.codec_context.layout, stream.codec_context.format = layout, CODECS[codec]
        size = stream.codec_context.frame_size or PIECE
        resampler = av.AudioResampler(CODECS[codec], layout, RATE, size)
        number = 0
        for index in range(PIECES):
            moments = (np.arange(PIECE) + index * PIECE) / RATE
            wave = (np.sin(2 * np.pi * 440 * moments) * 0.3).astype(np.float32)
            packed = np.repeat(wave, channels)[None]
            frame: Any = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate = RATE
            for piece in resampler.resample(frame):
                piece.pts, piece.time_base = number, Fraction(1, RATE)
                number += piece.samples
                mux(out, stream.encode(piece), gap)
        mux(out, stream.encode(None), gap)


def mux(out: Any, found: list[Any], gap: bool) -> None:
    """Mux packets, except for those in the gap."""
    for packet in found:
        begins = packet.pts * packet.time_base * RATE / PIECE
        if not (gap and GAP.start <= begins < GAP.stop):
            out.mux(packet)


def carry(source: Path, target: Path, kind: str) -> tuple[list[str], int]:
    """Carry the sound of `source` over; return the notes and the count of damaged packets."""
    copier = StreamCopier(source)
    with av.open(str(target), "w", format=kind) as out:
        copier.open(out, kind)
        copier.finish(complete=True)
    return copier.notes, copier.damaged


def levels(path: Path) -> list[float]:
    """Return the loudness (RMS, 1 is full) of the three thirds, as heard in one channel."""
    heard = np.zeros(PIECES * PIECE)
    with av.open(str(path)) as found:
        to_mono = av.AudioResampler("flt", "mono", RATE)
        for frame in found.decode(audio=0):
            first = round(frame.pts * frame.time_base * RATE)
            frame.pts = None
            for piece in to_mono.resample(frame):
                samples = piece.to_ndarray().ravel()
                place = slice(max(0, first), max(0, first) + len(samples))
                room = heard[place]
                room[:] = samples[: len(room)]
    thirds = heard.reshape(3, -1)[:, PIECE * 2 : -PIECE * 2]
    return [float(np.sqrt((third**2).mean())) for third in thirds]


def write(folder: Path) -> None:
    """Write every codec, layout and gap that there is."""
    for codec in CODECS:
        for number, layout in enumerate(LAYOUTS[: FEW.get(codec)]):
            for gap in (False, True):
                path = folder / name_of(codec, number, gap)
                try:
                    write_source(path, codec, layout, gap)
                except (av.error.FFmpegError, ValueError):
                    path.unlink(missing_ok=True)
                    break


def name_of(codec: str, number: int, gap: bool) -> str:
    """Return the name of the source in layout `number`."""
    return f"{codec}-{number}-{int(gap)}.mkv"


def main(kind: str, folder: Path, out: Path) -> None:
    """Carry every source into one kind of container."""
    for codec in CODECS:
        for number, layout in enumerate(LAYOUTS[: FEW.get(codec)]):
            for gap in (False, True):
                case = {"codec": codec, "layout": layout, "gap": gap}
                source, target = folder / name_of(codec, number, gap), out / f"out.{kind}"
                if not source.exists():
                    continue
                print(json.dumps(case), flush=True)
                notes, damaged = carry(source, target, kind)
                with av.open(str(target)) as found:
                    kept = found.streams.audio[0].codec_context.layout.name
                heard = levels(target) if av.AudioLayout(kept).nb_channels <= 2 else []
                done = {"notes": notes, "damaged": damaged, "kept": kept, "levels": heard}
                print(json.dumps({**case, **done}), flush=True)
    print(json.dumps("end"))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        main(sys.argv[1], *map(Path, sys.argv[2:]))
