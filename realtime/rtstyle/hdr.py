"""HDR and wide-gamut pictures as sane 8-bit ones: transfer curves, gamut and tone mapping.

Pure functions on 16-bit RGB; slower than the plain path, and only taken by material tagged so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtstyle.frame import Image

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


@lru_cache(maxsize=2)
def display_table(high_range: bool) -> Image:
    """Return the 8-bit display value for linear light 0 to PEAK in 65536 steps of its root.

    The index is the square root, because the eye's steps are finest in the dark.
    """
    linear = (np.linspace(0, 1, 65536) ** 2 * PEAK).astype(np.float32)
    shown = tone_map(linear) if high_range else np.minimum(linear, 1)
    levels: Image = np.rint(np.power(shown, 1 / 2.4) * 255).astype(np.uint8)
    return levels


def to_sdr(rgb48: NDArray[np.uint16], trc: int, primaries: int, white: int = 65535) -> Image:
    """Turn (H, W, 3) uint16 RGB with these tags into (H, W, 3) uint8 RGB of BT.709.

    `white` is the value of a full signal.
    """
    linear, display = linear_table(trc, white), display_table(trc in (PQ, HLG))
    bt2020 = is_bt2020(trc, primaries)
    shown = np.empty(rgb48.shape, np.uint8)
    for top in range(0, len(rgb48), ROWS):
        light = np.take(linear, rgb48[top : top + ROWS])
        if bt2020:
            light = np.asarray(cv2.transform(light, GAMUT), np.float32)
        np.divide(light, PEAK, out=light)
        np.clip(light, 0, 1, out=light)
        np.sqrt(light, out=light)
        np.multiply(light, 65535, out=light)
        # Every index is in the table; "raise" would copy the block once more.
        np.take(display, light.astype(np.uint16), out=shown[top : top + ROWS], mode="clip")
    return shown
