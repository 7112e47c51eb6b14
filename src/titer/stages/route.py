"""Where each problem belongs, by what the model makes of it.

ledger = route(rates)      # {"p1": Entry("p1", 0, "medium", …, places=("sft", "rl"), reason="medium: ρ = 0.50 …")}

An allocation is a function from a solve rate to places. The published ones disagree, so each is a name that can be
asked for, and they can be compared on the same problems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from titer.measure import Band, SolveRate

Destination = Literal["mastered", "sft", "rl", "bridge", "aside"]
PLACES: tuple[Destination, ...] = ("mastered", "sft", "rl", "bridge", "aside")
Destinations = tuple[Destination, ...]
BY_BAND: Final[Mapping[Band, Destinations]] = {
    "simple": ("mastered",),
    "medium": ("sft", "rl"),
    "hard": ("bridge", "sft"),
}


class Entry(NamedTuple):
    """One problem in the ledger: where it goes in this round and why."""

    problem_id: str
    round: int
    band: Band
    rho: float
    low: float
    high: float
    graded: int
    places: Destinations
    reason: str

    @property
    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {**self._asdict(), "places": list(self.places)}


def by_band(rate: SolveRate) -> Destinations:
    """arXiv 2606.04466: simple is mastered; medium to SFT and RL; hard to the bridge, and from there to SFT."""
    return BY_BAND[rate.band]


def opposite(rate: SolveRate) -> Destinations:
    """arXiv 2603.11193 (DeReason): easy problems to SFT, hard ones to RL."""
    return ("rl",) if rate.band == "hard" else ("sft",)


def unsolved_to_sft(rate: SolveRate) -> Destinations:
    """What was never solved to SFT, what was solved now and then to RL, the rest is mastered (0/8 and 1–7/8)."""
    if not rate.correct:
        return ("sft",)
    return ("rl",) if rate.correct < rate.graded else ("mastered",)


def mixed_to_rl(rate: SolveRate) -> Destinations:
    """DAPO's filter: RL on groups with 0 < c < G, the rest set aside."""
    return ("rl",) if 0 < rate.correct < rate.graded else ("aside",)


ALLOCATIONS: Final[Mapping[str, Callable[[SolveRate], Destinations]]] = {
    "bands": by_band,
    "opposite": opposite,
    "unsolved": unsolved_to_sft,
    "dapo": mixed_to_rl,
}


def route(rates: Mapping[str, SolveRate], allocation: str = "bands", *, round: int = 0) -> dict[str, Entry]:
    """The ledger of one round, by problem id. `allocation` is a name of ALLOCATIONS."""
    places_of = ALLOCATIONS[allocation]
    return {
        name: Entry(
            name,
            round,
            rate.band,
            rate.rho,
            rate.low,
            rate.high,
            rate.graded,
            places_of(rate),
            f"{rate.band} ({rate.surety:.0%} sure): {rate.correct} of {rate.graded} right, "
            f"ρ in [{rate.low:.2f}, {rate.high:.2f}]",
        )
        for name, rate in rates.items()
    }


def sent_to(ledger: Iterable[Entry], place: Destination) -> list[str]:
    """The ids of the problems that go there, in the ledger's order."""
    return [entry.problem_id for entry in ledger if place in entry.places]


def rehearsed(ledger: Iterable[Entry], share: float, seed: int) -> list[str]:
    """A random `share` of the mastered problems (at least one, unless the share is 0), in order."""
    mastered = sent_to(ledger, "mastered")
    count = min(len(mastered), max(1, round(share * len(mastered)))) if share else 0
    chosen = np.random.default_rng([seed, 6]).permutation(len(mastered))[:count]
    return [mastered[i] for i in sorted(chosen)]


def shares(ledger: Sequence[Entry]) -> dict[str, int]:
    """How many problems go to each place; one that goes to two counts for both."""
    found = Counter(place for entry in ledger for place in entry.places)
    return {place: found[place] for place in PLACES if found[place]}


def gaps(ledger: Sequence[Entry]) -> list[str]:
    """What this ledger leaves without anything to learn from, a line each, with what to do."""
    if not any(entry.rho for entry in ledger):
        return [
            "no rollout of any problem was right: look at a few of them and at the verifier, then bring easier problems"
            " or traces of these"
        ]
    if all("mastered" in entry.places for entry in ledger):
        return ["every problem is mastered: there is nothing to train on; bring harder ones"]
    missing = {"sft": "SFT", "rl": "RL"}
    return [
        f"no problem goes to {name}: it has nothing to learn from under this allocation"
        for place, name in missing.items()
        if not any(place in entry.places for entry in ledger)
    ]
