"""Drawing: seeded, skewed, and in numbers that add up exactly."""

from array import array
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from random import Random

# The tail of who gets how much: the most liked article has hundreds of times the median.
TAIL = 1.6


def dice(seed: int, purpose: str) -> Random:
    """Chance of its own for each purpose: with more comments, the articles stay the same."""
    return Random(f"{seed} {purpose}")  # noqa: S311 -- it has to be repeatable; no secret comes of it


def shares(rng: Random, total: int, among: int, at_most: int) -> "array[int]":
    """`total` in `among` parts, few of them large and none above `at_most`.

    Costs 16 bytes for each part. Precondition: total <= among * at_most.
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
    """Hand out what is left, one by one and round and round, to whoever has room."""
    index = rng.randrange(len(counts)) if left else 0
    while left:
        if counts[index] < at_most:
            counts[index] += 1
            left -= 1
        index = (index + 1) % len(counts)


class Crowd:
    """Members 0, 1, 2 …, the one with rank 1 drawn most often, as Zipf's law has it."""

    def __init__(self, ranks: Sequence[int]) -> None:
        # Flatter than Zipf's own exponent of 1: otherwise the first would do everything.
        self._reached = list(accumulate((rank + 2) ** -0.85 for rank in ranks))
        self._members = range(len(ranks))

    def one(self, rng: Random, among_first: int) -> int:
        """A member among the first so many."""
        last = among_first - 1
        return bisect(self._reached, rng.random() * self._reached[last], 0, last)

    def several(self, rng: Random, count: int, always: int = -1, never: int = -1) -> list[int]:
        """`count` different members, `always` among them and `never` not."""
        chosen = {always: None} if count and always >= 0 else {}
        for _ in range(3):
            missing = count - len(chosen)
            drawn = rng.choices(self._members, cum_weights=self._reached, k=missing)
            chosen |= dict.fromkeys(member for member in drawn if member != never)
        if len(chosen) < count:
            rest = [one for one in self._members if one not in chosen and one != never]
            chosen |= dict.fromkeys(rng.sample(rest, count - len(chosen)))
        return list(chosen)


def shuffled_ranks(rng: Random, count: int, favored: Sequence[int]) -> list[int]:
    """Ranks from 1 for members 0, 1, 2 …: the best ones for `favored`, the others by chance."""
    others = [member for member in range(count) if member not in favored]
    rng.shuffle(others)
    ranks = [0] * count
    for rank, member in enumerate([*favored, *others], start=1):
        ranks[member] = rank
    return ranks
