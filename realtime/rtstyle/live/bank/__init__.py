"""The models of a live program, kept warm: opened, compiled and fitted while the picture goes on.

Knows nothing of looks, of transitions, or of who asks.
"""

from rtstyle.live.bank.errands import Shape
from rtstyle.live.bank.style_bank import UPSAMPLER, StyleBank

__all__ = ["UPSAMPLER", "Shape", "StyleBank"]
