"""HDR and wide-gamut pictures as sane 8-bit ones: transfer curves, gamut and tone mapping.

Pure functions on 16-bit RGB; slower than the plain path, and only taken by material tagged so. The
way back is `to_hlg`: what `to_sdr` compressed is spread again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# FFmpeg's numbers (AVColorTransferCharacteristic, AVColorPrimaries).
PQ, HLG, BT2020 = 16, 18, 9
UNSPECIFIED = (0, 2)
WHITE_NITS = 203.0
"""Luminance of reference white in PQ material, ITU-R BT.2408."""
KNEE, PEAK = 0.75, 1000 / WHITE_NITS
"""Linear light above KNEE is compressed so that PEAK just reaches 1."""

ROWS = 32
"""Rows that are computed at once: they stay in the processor's cache."""

# Linear BT.2020 to linear BT.709, ITU-R BT.2087.
GAMUT = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)

Curve = NDArray[np.floating[Any]]


def is_wide(trc: int, primaries: int) -> bool:
    """Return True if material with these tags needs this module at all."""
    return trc in (PQ, HLG) or primaries == BT2020


def is_bt2020(trc: int, primaries: int) -> bool:
    """Return True if the primaries are those of BT.2020: tagged so, or untagged PQ or HLG."""
    return primaries == BT2020 or (trc in (PQ, HLG) and primaries in UNSPECIFIED)


def pq_to_nits(signal: Curve) -> Curve:
    """Invert the PQ curve (SMPTE ST 2084): 0 to 1 becomes 0 to 10000 cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.power(signal, 1 / m2)
    return np.asarray(np.power(np.maximum(root - c1, 0) / (c2 - c3 * root), 1 / m1) * 10000)


def hlg_to_linear(signal: Curve) -> Curve:
    """Invert the HLG curve (ITU-R BT.2100); the reference white of 75 % becomes 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    linear = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return linear / 0.26496256


def tone_map(linear: Curve) -> Curve:
    """Compress light above KNEE smoothly; 0 to PEAK becomes 0 to 1, more is cut."""
    over = np.clip((linear - KNEE) / (PEAK - KNEE), 0, 1)
    # Slope at the knee is 1, so that the curve has no kink there.
    steep = (PEAK - KNEE) / (1 - KNEE)
    compressed = KNEE + (1 - KNEE) * steep * over / (1 + (steep - 1) * over)
    return np.where(linear > KNEE, compressed, linear)


def tone_unmap(shown: Curve) -> Curve:
    """Invert `tone_map`: 0 to 1 becomes 0 to PEAK."""
    part = np.clip((shown - KNEE) / (1 - KNEE), 0, 1)
    steep = (PEAK - KNEE) / (1 - KNEE)
    spread = KNEE + (PEAK - KNEE) * part / (steep - (steep - 1) * part)
    return np.asarray(np.where(shown > KNEE, spread, shown))


def linear_to_hlg(linear: Curve) -> Curve:
    """Return the HLG signal (ITU-R BT.2100), 0 to 1, of light whose reference white is 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.clip(linear * 0.26496256, 0, 1)
    # Below 1/12 the logarithm is not taken, but NumPy computes both.
    high = a * np.log(np.maximum(12 * scene, 1) - b) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


@lru_cache(maxsize=4)
def linear_table(trc: int, white: int = 65535) -> Curve:
    """Return linear light, reference white 1, for 65536 signal values; `white` is the full one."""
    signal = np.minimum(np.arange(65536, dtype=np.float64) / white, 1)
    if trc == PQ:
        linear = pq_to_nits(signal) / WHITE_NITS
    elif trc == HLG:
        linear = hlg_to_linear(signal)
    else:
        linear = signal**2.4
    return linear.astype(np.float32)


@lru_cache(maxsize=4)
def display_table(high_range: bool, steps: int = 1) -> NDArray[np.unsignedinteger[Any]]:
    """Return the display value for linear light 0 to PEAK in 65536 steps of its root.

    The index is the square root, because the eye's steps are finest in the dark. The values are
    uint8, or uint16 with so many `steps` to each of the 255 levels.
    """
    linear = (np.linspace(0, 1, 65536) ** 2 * PEAK).astype(np.float32)
    shown = tone_map(linear) if high_range else np.minimum(linear, 1)
    levels = np.rint(np.power(shown, 1 / 2.4) * 255 * steps)
    return np.asarray(levels, np.uint8 if steps == 1 else np.uint16)


def to_sdr(
    rgb48: NDArray[np.uint16], trc: int, primaries: int, white: int = 65535, steps: int = 1
) -> NDArray[Any]:
    """Turn (H, W, 3) uint16 RGB with these tags into (H, W, 3) RGB of BT.709.

    `white` is the value of a full signal. The result is uint8, or uint16 with `steps` to a level.
    """
    linear, display = linear_table(trc, white), display_table(trc in (PQ, HLG), steps)
    gamut = GAMUT if is_bt2020(trc, primaries) else None
    return recoded(rgb48, linear, gamut, display)


@lru_cache(maxsize=1)
def spread_table(white: int) -> Curve:
    """Return the light of a display signal of BT.709, 0 to `white`, with highlights spread."""
    signal = np.minimum(np.arange(65536, dtype=np.float64) / white, 1)
    return np.asarray(tone_unmap(signal**2.4), np.float32)


@lru_cache(maxsize=1)
def hlg_table(white: int) -> NDArray[np.uint16]:
    """Return the HLG signal, 0 to `white`, of light 0 to PEAK in 65536 steps of its root."""
    linear = np.linspace(0, 1, 65536) ** 2 * PEAK
    return np.rint(linear_to_hlg(linear) * white).astype(np.uint16)


def to_hlg(rgb: NDArray[np.uint16], white: int = 65280) -> NDArray[np.uint16]:
    """Turn (H, W, 3) uint16 RGB of BT.709, full signal `white`, into HLG in BT.2020 likewise.

    The inverse of `to_sdr` of HLG up to its rounding: what `tone_map` compressed is spread again.
    """
    wide = np.linalg.inv(GAMUT.astype(np.float64)).astype(np.float32)
    return recoded(rgb, spread_table(white), wide, hlg_table(white))


def recoded(
    rgb: NDArray[np.uint16],
    linear: Curve,
    gamut: NDArray[np.float32] | None,
    display: NDArray[np.unsignedinteger[Any]],
) -> NDArray[Any]:
    """Return `rgb` through a table to light, a (3, 3) matrix, and a table of the light's root."""
    shown = np.empty(rgb.shape, display.dtype)
    for top in range(0, len(rgb), ROWS):
        light = np.take(linear, rgb[top : top + ROWS])
        if gamut is not None:
            light = np.asarray(cv2.transform(light, gamut), np.float32)
        np.divide(light, PEAK, out=light)
        np.clip(light, 0, 1, out=light)
        np.sqrt(light, out=light)
        np.multiply(light, 65535, out=light)
        # Every index is in the table; "raise" would copy the block once more.
        np.take(display, light.astype(np.uint16), out=shown[top : top + ROWS], mode="clip")
    return shown
