"""One time line for sound and subtitles where that of the source breaks, in step with the picture.

Recordings that were joined, and damaged ones, have time stamps that fall back or leap. What the
picture does about it (`rtstyle.sources.timestamps`) is done here to the other streams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from rtstyle.sources.timestamps import JUMP_AHEAD

LEAP = Fraction(1)
"""Seconds ahead from which a packet is only believed if the next of its stream agrees."""
BELIEVED = Fraction(10)
"""Seconds ahead up to which the last packet of a stream is believed alone."""
LOOK_AHEAD = 500
"""Packets that are read ahead at most to understand a break."""
USUAL_STEP = Fraction(1, 25)

Packet = Any
_AHEAD = Fraction(JUMP_AHEAD)


class TimeLine:
    """Iterates over `packets` with their time stamps made into one line.

    `master` is the index of the picture's stream, if its packets are among them: it decides how
    far all streams move at a break, and its packets are not passed on. Without it, the stream that
    breaks decides. A single packet whose time agrees with none of its stream is dropped and counted
    in `dropped`. Times are decoding times, in seconds.
    """

    def __init__(self, packets: Iterator[Packet], master: int | None = None) -> None:
        self.dropped = 0
        self._packets, self._master = packets, master
        self._waiting: deque[Packet] = deque()
        self._shift = self._shift_before = Fraction(0)
        self._last: dict[int, Fraction] = {}
        self._step: dict[int, Fraction] = {}

    def __iter__(self) -> Iterator[Packet]:
        while True:
            packet = self._waiting.popleft() if self._waiting else next(self._packets, None)
            if packet is None:
                return
            shift = self._place(packet)
            if shift is None:
                self.dropped += 1
            elif packet.stream.index != self._master:
                move(packet, shift)
                yield packet

    def _place(self, packet: Packet) -> Fraction | None:
        """Return by how much a packet moves, None if it belongs nowhere."""
        index = packet.stream.index
        if packet.stream.type in ("subtitle", "data"):
            # Lines and notes of sensors are far apart: their distances tell nothing.
            return self._shift
        last = self._last.get(index)
        shift: Fraction | None = self._shift
        if last is not None:
            shift = self._before_or_after(packet, last)
            if shift is None:
                shift = self._after_leap(packet, last)
        if shift is not None:
            self._note(packet, shift)
        return shift

    def _goes_on(self, packet: Packet, last: Fraction) -> bool:
        step = self._steps(packet)
        return -step <= moment(packet) + self._shift - last <= LEAP + step

    def _before_or_after(self, packet: Packet, last: Fraction) -> Fraction | None:
        """Return the shift with which a packet follows the last of its stream most closely.

        Around a break, packets of one stream from before it come after those of others.
        """
        step = self._steps(packet)
        gaps = {shift: moment(packet) + shift - last for shift in (self._shift, self._shift_before)}
        fitting = [shift for shift, gap in gaps.items() if -step <= gap <= LEAP + step]
        return min(fitting, key=lambda shift: abs(gaps[shift] - step), default=None)

    def _after_leap(self, packet: Packet, last: Fraction) -> Fraction | None:
        """Return by how much a packet moves that does not follow the last of its stream."""
        index, begins = packet.stream.index, moment(packet)
        following = self._peek(lambda other: bool(other.stream.index == index))
        if following is not None and self._goes_on(following, last):
            return None
        believed = _AHEAD if following is not None else BELIEVED
        if 0 <= begins + self._shift - last <= believed:
            return self._shift
        if following is None:
            return None
        self._shift_before, self._shift = self._shift, self._new_shift(packet, last)
        return self._shift

    def _new_shift(self, packet: Packet, last: Fraction) -> Fraction:
        """Return the shift after a break: that of the picture, if it breaks here, too."""
        if self._master in (None, packet.stream.index):
            return last + self._steps(packet) - moment(packet)
        picture = self._last.get(self._master)

        def breaks(other: Packet) -> bool:
            nonlocal picture
            if other.stream.index != self._master or picture is None:
                return False
            if not self._goes_on(other, picture):
                return True
            picture = moment(other) + self._shift
            return False

        other = self._peek(breaks)
        if other is None or picture is None:
            return last + self._steps(packet) - moment(packet)
        return picture + self._steps(other) - moment(other)

    def _note(self, packet: Packet, shift: Fraction) -> None:
        index, now = packet.stream.index, moment(packet) + shift
        step = packet.duration * packet.time_base if packet.duration else None
        if step is None and index in self._last:
            step = now - self._last[index]
        if step is not None and 0 < step <= BELIEVED:
            self._step[index] = step
        self._last[index] = now

    def _steps(self, packet: Packet) -> Fraction:
        """Return the usual distance of two packets of this packet's stream."""
        return self._step.get(packet.stream.index, USUAL_STEP)

    def _peek(self, wanted: Callable[[Packet], bool]) -> Packet | None:
        """Return the first packet to come that is `wanted`, without taking any away."""
        for packet in self._waiting:
            if wanted(packet):
                return packet
        while len(self._waiting) < LOOK_AHEAD:
            packet = next(self._packets, None)
            if packet is None:
                break
            self._waiting.append(packet)
            if wanted(packet):
                return packet
        return None


def moment(packet: Packet) -> Fraction:
    """Return the decoding time in seconds, or what stands for it."""
    ticks = packet.pts if packet.dts is None else packet.dts
    return Fraction(ticks * packet.time_base)


def move(packet: Packet, shift: Fraction) -> None:
    """Add `shift` seconds to the time stamps of a packet."""
    if shift:
        ticks = round(shift / packet.time_base)
        packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks
