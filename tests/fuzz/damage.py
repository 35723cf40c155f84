"""Strategies of damaged files and texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

# What lengths, counts and sizes are confused by.
NUMBERS = (0, 1, 2, 7, 127, 128, 255, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1)
MOST = 3
"""Places at which one input is damaged, at most."""
Edit = Callable[[bytes, float, int], bytes]


def at(data: bytes, place: float) -> int:
    """Return an index in `data`; the beginning, where headers are, comes up most often."""
    return min(int(len(data) * place**2), max(0, len(data) - 1))


def replace(data: bytes, place: float, number: int) -> bytes:
    start = at(data, place)
    size = (1, 2, 4)[number % 3]
    value = NUMBERS[number % len(NUMBERS)] if number % 2 else number
    order = "big" if number % 5 < 3 else "little"
    new = (value & ((1 << 8 * size) - 1)).to_bytes(size, order)  # type: ignore[arg-type]
    return data[:start] + new + data[start + size :]


def flip(data: bytes, place: float, number: int) -> bytes:
    start = at(data, place)
    if not data:
        return data
    return data[:start] + bytes([data[start] ^ 1 << number % 8]) + data[start + 1 :]


def cut(data: bytes, place: float, number: int) -> bytes:
    start = at(data, place)
    return data[:start] + data[start + 1 + number % 64 :]


def end(data: bytes, place: float, number: int) -> bytes:
    return data[: int(len(data) * place)]


def repeat(data: bytes, place: float, number: int) -> bytes:
    start = at(data, place)
    part = data[start : start + 1 + number % 256]
    return data[:start] + part * (1 + number % 4) + data[start:]


def move(data: bytes, place: float, number: int) -> bytes:
    start, size = at(data, place), 4 + number % 64
    part, rest = data[start : start + size], data[:start] + data[start + size :]
    target = number * 2654435761 % (len(rest) + 1)
    return rest[:target] + part + rest[target:]


def blank(data: bytes, place: float, number: int) -> bytes:
    start, size = at(data, place), 1 + number % 512
    fill = (b"\0", b"\xff", b"\x80", b"A")[number % 4]
    return data[:start] + fill * len(data[start : start + size]) + data[start + size :]


EDITS: tuple[Edit, ...] = (replace, replace, flip, flip, cut, end, repeat, move, blank)


def damaged(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return sound files with one to `MOST` damages, and now and then noise."""
    step = st.tuples(
        st.sampled_from(EDITS),
        st.floats(0, 1, exclude_max=True, allow_subnormal=False),
        st.integers(0, 2**32 - 1),
    )

    def build(seed: bytes, steps: list[tuple[Edit, float, int]]) -> bytes:
        for edit, place, number in steps:
            seed = edit(seed, place, number)
        return seed

    files = st.builds(build, st.sampled_from(seeds), st.lists(step, min_size=1, max_size=MOST))
    return st.one_of(files, files, files, files, st.binary(max_size=256))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


def objects(known: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Return JSON that is like the `known` values, except for some of what is in them."""

    def like(value: Any) -> st.SearchStrategy[Any]:
        if isinstance(value, dict):
            parts = {key: like(inner) for key, inner in value.items()}
            whole = st.fixed_dictionaries({}, optional=parts)
            more = st.dictionaries(st.text(max_size=9), VALUES, max_size=2)
            same: st.SearchStrategy[Any] = st.builds(lambda a, b: {**a, **b}, whole, more)
        elif isinstance(value, list):
            same = st.lists(st.one_of(*map(like, value)) if value else VALUES, max_size=4)
        else:
            same = st.just(value)
        return st.one_of(same, same, same, same, VALUES)

    trees = st.one_of(*(like(value) for value in known))
    return trees.map(lambda tree: json.dumps(tree).encode())
