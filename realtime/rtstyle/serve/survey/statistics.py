"""What votes come to: shares with intervals, and one scale for all methods."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtstyle.serve.survey.design import PAINTINGS, PREFER, REAL
from rtstyle.serve.survey.votes import Vote

Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within."""
PRIOR = 0.5
"""Votes for each side that every pair of methods has in advance, so that one which never lost
has a score, too."""
TOLERANCE, MOST_ROUNDS = 1e-12, 100_000
GUESSING = 0.75
"""Deception rate of one who guesses: three of the four are not real."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `count`, with a 95 % interval (Wilson 1927)."""

    hits: int
    count: int

    @property
    def rate(self) -> float:
        """The share, 0 to 1; NaN of none."""
        return self.hits / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end, 0 to 1."""
        return wilson(self.hits, self.count)


@dataclass(frozen=True, slots=True)
class Result:
    """What a survey found.

    `preferred` maps pairs of methods to the share of the first, `deceived` methods to the share of
    votes that took one of its pictures for the real painting, `scores` methods to their logarithmic
    strengths with mean 0, `left` is the share of votes for what stood left.
    """

    visitors: int
    methods: tuple[str, ...]
    preferred: Mapping[tuple[str, str], Share]
    scores: Mapping[str, float]
    deceived: Mapping[str, Share]
    left: Share


def wilson(hits: int, count: int, z: float = Z) -> tuple[float, float]:
    """Return the interval of a share by Wilson's score; 0 to 1 for none."""
    if count == 0:
        return 0.0, 1.0
    share, square = hits / count, z * z
    middle = share + square / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    scale = 1 + square / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def bradley_terry(
    methods: Sequence[str], wins: Mapping[tuple[str, str], int], prior: float = PRIOR
) -> dict[str, float]:
    """Return logarithmic strengths with mean 0: P(a over b) = 1 / (1 + exp(b - a)).

    Bradley and Terry 1952, by the iteration of Hunter 2004. `wins` has how often the first was
    preferred to the second; each pair that was compared has `prior` wins more on both sides.
    """
    pairs = {tuple(sorted(pair)) for pair, count in wins.items() if count}
    won = {(a, b): wins.get((a, b), 0) + prior for p in pairs for a, b in (p, p[::-1])}
    total = {m: sum(count for (a, _), count in won.items() if a == m) for m in methods}
    strength = dict.fromkeys(methods, 1.0)
    for _ in range(MOST_ROUNDS):
        fresh = {}
        for one in methods:
            met = (other for other in methods if (one, other) in won)
            weight = sum(
                (won[one, other] + won[other, one]) / (strength[one] + strength[other])
                for other in met
            )
            fresh[one] = total[one] / weight if weight else 1.0
        mean = math.exp(sum(map(math.log, fresh.values())) / len(fresh))
        fresh = {name: value / mean for name, value in fresh.items()}
        change = max(abs(math.log(fresh[m] / strength[m])) for m in methods)
        strength = fresh
        if change < TOLERANCE:
            break
    return {name: math.log(value) for name, value in strength.items()}


def summarize(votes: Sequence[Vote]) -> Result:
    """Return what votes come to; methods in the order of their names."""
    prefer = [vote for vote in votes if vote.kind == PREFER]
    real = [vote for vote in votes if vote.kind == REAL]
    methods = sorted({one.method for vote in votes for one in vote.shown} - {PAINTINGS})
    wins: Counter[tuple[str, str]] = Counter()
    for vote in prefer:
        other = vote.shown[1 - vote.choice]
        wins[vote.chosen.method, other.method] += 1
    pairs = [(a, b) for a in methods for b in methods if a < b and wins[a, b] + wins[b, a]]
    asked = Counter(next(o.method for o in v.shown if o.method != PAINTINGS) for v in real)
    fooled = Counter(v.chosen.method for v in real if v.chosen.method != PAINTINGS)
    return Result(
        visitors=len({vote.visitor for vote in votes}),
        methods=tuple(methods),
        preferred={(a, b): Share(wins[a, b], wins[a, b] + wins[b, a]) for a, b in pairs},
        scores=bradley_terry(methods, wins) if pairs else {},
        deceived={
            method: Share(fooled[method], asked[method]) for method in methods if asked[method]
        },
        left=Share(sum(vote.choice == 0 for vote in prefer), len(prefer)),
    )
