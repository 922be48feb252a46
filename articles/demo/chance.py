"""Seeded random choices, and skewed numbers with an exact sum."""

from array import array
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random

# The exponent of the Pareto distribution: the most liked article has hundreds of times as many
# favorites as the median.
TAIL = 1.6


def dice(seed: int, purpose: str) -> Random:
    """A separate generator for each purpose: with more comments, the articles stay the same."""
    return Random(f"{seed} {purpose}")  # noqa: S311 -- must be repeatable; makes no secrets


def shares(rng: Random, total: int, among: int, at_most: int) -> "array[int]":
    """Split `total` into `among` parts: few are large, and all are at most `at_most`.

    Uses 16 bytes for each part. Precondition: total <= among * at_most.
    """
    weights = array("d", (rng.paretovariate(TAIL) for _ in range(among)))
    scale = total / (sum(weights) or 1)
    counts = array("q", [0]) * among
    reached, given = 0.0, 0
    for index, weight in enumerate(weights):
        reached += weight * scale
        due = min(int(reached), total) - given
        given += due
        counts[index] = min(due, at_most)
    _top_up(counts, total - sum(counts), at_most, rng)
    return counts


def _top_up(counts: "array[int]", left: int, at_most: int, rng: Random) -> None:
    """Add `left` to the counts, one at a time, without exceeding `at_most`."""
    index = rng.randrange(len(counts)) if left else 0
    while left:
        if counts[index] < at_most:
            counts[index] += 1
            left -= 1
        index = (index + 1) % len(counts)


class Crowd:
    """Members 0, 1, 2 …, drawn by Zipf's law: the member with rank 1 most often."""

    def __init__(self, ranks: Sequence[int]) -> None:
        # Below Zipf's exponent of 1, with which the first member would be drawn too often.
        self._reached = list(accumulate((rank + 2) ** -0.85 for rank in ranks))
        self._members = range(len(ranks))

    def one(self, rng: Random, among_first: int) -> int:
        """One of the first `among_first` members."""
        last = among_first - 1
        return bisect(self._reached, rng.random() * self._reached[last], 0, last)

    def several(self, rng: Random, count: int, always: int = -1, never: int = -1) -> list[int]:
        """`count` different members, with `always` and without `never`; -1 is no member."""
        chosen = {always: None} if count and always >= 0 else {}
        for _ in range(3):
            missing = count - len(chosen)
            drawn = rng.choices(self._members, cum_weights=self._reached, k=missing)
            chosen |= dict.fromkeys(member for member in drawn if member != never)
        if len(chosen) < count:
            rest = [member for member in self._members if member not in chosen and member != never]
            chosen |= dict.fromkeys(rng.sample(rest, count - len(chosen)))
        return list(chosen)


def shuffled_ranks(rng: Random, count: int, favored: Sequence[int]) -> list[int]:
    """The ranks of members 0, 1, 2 …: 1, 2 … for `favored`, then a random order."""
    others = [member for member in range(count) if member not in favored]
    rng.shuffle(others)
    ranks = [0] * count
    for rank, member in enumerate([*favored, *others], start=1):
        ranks[member] = rank
    return ranks
