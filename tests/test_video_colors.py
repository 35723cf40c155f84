"""Colours of decoded frames in every layout, against the formulas of the standards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media import WEIGHTS, write_clip
from numpy.typing import NDArray

from rtstyle.sources import open_camera, open_video
from rtstyle.sources.stream import StreamCapture
from rtstyle.yuv import RgbConverter

BT709, SMPTE170M, BT2020, PQ, HLG, BT2020_10 = 1, 6, 9, 16, 18, 14
UNSPECIFIED = 2
BLOCK = 16
COLOURS = [
    *product((0.0, 1.0), repeat=3),
    *[(0.6157, 0.6118, 0.4314), (0.72, 0.0, 0.81), (0.9, 0.15, 0.2), (0.05, 0.45, 0.2)],
    *[(0.2, 0.3, 0.75), (0.5, 0.5, 0.5), (0.75, 0.75, 0.75), (0.95, 0.6, 0.1)],
]
"""R', G', B' signals, 0 to 1: the corners of the cube, an olive, a violet and others."""

Signal = NDArray[np.float64]


def codes(signal: Signal, matrix: int, full: bool, depth: int) -> NDArray[np.int64]:
    """Return the integer Y', Cb and Cr of (N, 3) signals: ITU-T H.273, equations 38 to 43."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = signal.T
    luma = kr * r + (1 - kr - kb) * g + kb * b
    blue, red = (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))
    scale, top = 2 ** (depth - 8), 2**depth - 1
    spans = (top, top) if full else (219 * scale, 224 * scale)
    black = 0 if full else 16 * scale
    values = [spans[0] * luma + black, *(spans[1] * c + 128 * scale for c in (blue, red))]
    return np.clip(np.rint(np.stack(values, axis=1)), 0, top).astype(np.int64)


def signals(ycc: NDArray[np.int64], matrix: int, full: bool, depth: int) -> Signal:
    """Return the R', G', B' (N, 3), 0 to 1, of integer codes: the way back, in doubles."""
    kr, kb = WEIGHTS[matrix]
    scale, top = 2 ** (depth - 8), 2**depth - 1
    spans = (top, top) if full else (219 * scale, 224 * scale)
    luma = (ycc[:, 0] - (0 if full else 16 * scale)) / spans[0]
    blue, red = ((ycc[:, n] - 128 * scale) / spans[1] for n in (1, 2))
    r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
    return np.clip(np.stack([r, (luma - kr * r - kb * b) / (1 - kr - kb), b], axis=1), 0, 1)


def light_of(signal: Signal, trc: int) -> Signal:
    """Return linear light, 1 for reference white: ST 2084, BT.2100 (HLG), BT.1886."""
    if trc == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        nits = 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return np.asarray(nits / 203)
    if trc == HLG:
        a = 0.17883277
        b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
        inverse = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        return np.asarray(inverse / ((np.exp((0.75 - c) / a) + b) / 12))
    return np.asarray(signal**2.4)


def shown(signal: Signal, trc: int, primaries: int) -> Signal:
    """Return the 8-bit BT.709 levels (N, 3), unrounded, that signals with these tags mean."""
    light = light_of(signal, trc)
    if primaries == BT2020 or (trc in (PQ, HLG) and primaries == UNSPECIFIED):
        # ITU-R BT.2087, with its four decimals.
        rows = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
        light = light @ np.array(rows).T
    light = np.maximum(light, 0)
    if trc in (PQ, HLG):
        # Ours: from 0.75 on a rational curve of slope 1 reaches 1 at 1000 cd/m2.
        knee, peak = 0.75, 1000 / 203
        over = np.clip((light - knee) / (peak - knee), 0, 1)
        slope = (peak - knee) / (1 - knee)
        curve = knee + (1 - knee) * slope * over / (1 + (slope - 1) * over)
        light = np.where(light > knee, curve, light)
    return np.asarray(255 * np.minimum(light, 1) ** (1 / 2.4))


def paint_flat(layout: str, values: Sequence[int], width: int = 64, height: int = 32) -> Any:
    """Return a frame of one colour in a planar, semi-planar or packed layout, built by hand."""
    frame = av.VideoFrame(width, height, layout)
    y, u, v, *alpha = (int(value) for value in values)
    packed = {"yuyv422": [y, u, y, v], "uyvy422": [u, y, v, y]}
    for number, plane in enumerate(frame.planes):
        deep = frame.format.components[0].bits > 8
        row = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8)
        if layout in packed:
            row[:] = np.resize(packed[layout], row.size)
        elif layout.startswith(("nv", "p0")):
            pair = [u, v] if number else [y, y]
            shift = 6 if layout == "p010le" else 0
            row[:] = np.resize(np.array(pair) << shift, row.size)
        else:
            row[:] = [y, u, v, *alpha][number]
    return frame


PLANAR = [
    f"{kind}{sampling}p{depth}"
    for kind, sampling, depth in product(("yuv",), (420, 422, 444, 440), ("", "10le", "12le"))
]
LAYOUTS = [
    *PLANAR,
    *("yuv420p9le", "yuv420p14le", "yuv420p16le", "yuv422p16le", "yuv444p16le", "yuv410p"),
    *("yuv411p", "nv12", "nv16", "nv24", "p010le", "p016le", "yuyv422", "uyvy422", "yuvj420p"),
    *("yuvj422p", "yuvj444p"),
]
TAGS = [
    *[(BT709, BT709, BT709), (SMPTE170M, SMPTE170M, SMPTE170M), (BT2020, BT709, BT709)],
    *[(BT2020, BT2020_10, BT2020), (BT2020, PQ, BT2020), (BT2020, HLG, BT2020), (BT709, HLG, 1)],
    (UNSPECIFIED, PQ, UNSPECIFIED),
]
"""Matrix, transfer and primaries."""


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("matrix", "trc", "primaries"), TAGS)
def test_every_layout_has_the_colours_of_the_formulas(
    layout: str, matrix: int, trc: int, primaries: int
) -> None:
    depth = av.VideoFormat(layout).components[0].bits
    convert = RgbConverter()
    meant = BT2020 if matrix == UNSPECIFIED else matrix
    for full in (True,) if "j" in layout else (False, True):
        ycc = codes(np.array(COLOURS), meant, full, depth)
        expected = shown(signals(ycc, meant, full, depth), trc, primaries)
        if trc not in (PQ, HLG) and primaries != BT2020:
            expected = 255 * signals(ycc, meant, full, depth)
        for values, levels in zip(ycc, expected, strict=True):
            frame = paint_flat(layout, values)
            frame.colorspace, frame.color_range = matrix, 2 if full else 1
            frame.color_trc, frame.color_primaries = trc, primaries
            image = convert(frame)
            assert image.shape == (32, 64, 3)
            assert np.abs(image - levels).max() <= 2, (full, values, levels, image[8, 8])


@pytest.mark.parametrize("layout", ["gbrp10le", "gbrp12le", "rgb48le"])
@pytest.mark.parametrize("trc", [PQ, HLG])
def test_hdr_that_is_stored_as_rgb(layout: str, trc: int) -> None:
    depth = av.VideoFormat(layout).components[0].bits
    levels = np.rint(np.array(COLOURS) * (2**depth - 1)).astype(np.int64)
    expected = shown(levels / (2**depth - 1), trc, BT2020)
    for (red, green, blue), wanted in zip(levels, expected, strict=True):
        frame = paint_flat(layout, (green, blue, red))
        if layout == "rgb48le":
            row = np.frombuffer(memoryview(frame.planes[0]), np.uint16)
            row[:] = np.resize([red, green, blue], row.size)
        frame.color_trc, frame.color_primaries = trc, BT2020
        assert np.abs(RgbConverter()(frame) - wanted).max() <= 2


def clip_of_blocks(path: Path, layout: str, trc: int, **changes: Any) -> Signal:
    """Write a lossless clip with a block of each colour; return their levels (N, 3)."""
    depth = av.VideoFormat(layout).components[0].bits
    ycc = codes(np.array(COLOURS), BT2020, False, depth)

    def draw(_: Any) -> Any:
        frame = av.VideoFrame(BLOCK * len(COLOURS), 32, layout)
        for number, plane in enumerate(frame.planes):
            rows = np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)
            rows[:, : plane.width] = ycc[:, number].repeat(plane.width // len(COLOURS))
        return tagged(frame)

    def tagged(target: Any) -> Any:
        target.colorspace, target.color_range = BT2020, 1
        target.color_trc, target.color_primaries = trc, BT2020
        return target

    write_clip(
        path,
        width=BLOCK * len(COLOURS),
        height=32,
        frames=3,
        rate=500,
        codec="ffv1",
        options={},
        pix_fmt=layout,
        to_frame=draw,
        setup=lambda stream: tagged(stream.codec_context),
        **changes,
    )
    return shown(signals(ycc, BT2020, False, depth), trc, BT2020)


@pytest.mark.parametrize("layout", ["yuv420p10le", "yuv422p10le", "yuv444p10le"])
@pytest.mark.parametrize("trc", [PQ, HLG, BT2020_10])
def test_files_cameras_and_streams_show_one_colour(tmp_path: Path, layout: str, trc: int) -> None:
    path = tmp_path / "a.mkv"
    expected = clip_of_blocks(path, layout, trc)
    images = []
    with open_video(path) as video:
        images += [frame.image for frame in video]
    with open_camera(str(path)) as camera:
        images += [frame.image for frame in camera]
    capture = StreamCapture(path.as_uri())
    try:
        shot = capture.read()
        assert shot is not None
        images.append(shot.image)
    finally:
        capture.close()
    assert len(images) == 7
    for image in images:
        assert np.abs(image[16, BLOCK // 2 :: BLOCK] - expected).max() <= 2
