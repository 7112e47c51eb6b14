"""What a reproduction is: arms, a function that runs one arm with one seed, and the claims held against the results.

    EXPERIMENT = Experiment(name="branching", module=__name__, arms=("a", "b"), settings={}, job=job, claims=(…,))

A finding is one module or folder of `findings` with an EXPERIMENT in it, and one name in FINDINGS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.errors import InputError
from titer.reproduce.bases import LAB, TAUGHT
from titer.reproduce.verdict import Direction

FINDINGS: Final = {"A": "branching", "B": "recovery", "C": "repetition", "D": "stages", "E": "continuum"}
NAMES = tuple(FINDINGS.values())

Measures = dict[str, float]


class Claim(NamedTuple):
    """A statement of a paper, and the difference between arms that speaks for or against it.

    The difference is the sum over `contrast` of weight × the arm's `measure`, less, where `best_of` names arms, that
    of the one with the highest mean. The paper has it `direction` zero.
    """

    claim: str
    paper: str
    measure: str
    contrast: Mapping[str, float]
    direction: Direction
    best_of: tuple[str, ...] = ()


def versus(arm: str, other: str) -> dict[str, float]:
    """The contrast of two arms."""
    return {arm: 1.0, other: -1.0}


class Map(NamedTuple):
    """A measure over two settings, an arm a cell: `arms` are rows of cells."""

    title: str
    measure: str
    row: str
    column: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    arms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A reproduction. `module` is where a worker process finds it again, as EXPERIMENT.

    `job(arm, seed, settings, folder)` runs one arm in `folder`, goes on there after a crash, and returns its
    measures. Folders named `checkpoints` or `state` below it are removed once the result is written.
    `prepare(name, settings, folder)` makes, before any arm runs, what the arms of all seeds share: each name of
    `shared` in a folder of that name beside theirs. `scales` are the settings that differ at another scale; where
    `teaching` is among them, arms start from the taught model.
    """

    name: str
    module: str
    arms: tuple[str, ...]
    settings: Mapping[str, Any]
    job: Callable[[str, int, Mapping[str, Any], Path], Measures]
    claims: tuple[Claim, ...]
    maps: tuple[Map, ...] = ()
    shared: tuple[str, ...] = ()
    prepare: Callable[[str, Mapping[str, Any], Path], Measures] | None = None
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A worker is told a name alone: an arm of a shared name would be prepared again, and never run."""
        assert not {*self.arms} & {*self.shared}, f"{self.name}: an arm and what arms share have one name"

    def at(self, scale: str) -> Experiment:
        """The same at another scale. Raises InputError where there is none."""
        if scale == LAB:
            return self
        if scale not in self.scales:
            raise InputError(f"no scale {scale!r}", remedy=f"use one of: {', '.join([LAB, *self.scales])}")
        differ = self.scales[scale]
        shared = (TAUGHT, *self.shared) if differ.get("teaching") else self.shared
        return replace(self, settings={**self.settings, **differ}, shared=shared)


def find(name: str) -> Experiment:
    """The reproduction of that name. Raises InputError for an unknown one."""
    check_name(name)
    experiment: Experiment = import_module(f"titer.reproduce.findings.{name}").EXPERIMENT
    return experiment


def check_name(name: str) -> None:
    """Raises InputError for a name that no reproduction has."""
    if name not in NAMES:
        raise InputError(
            f"no reproduction {name!r}", remedy=f"use one of: {', '.join(NAMES)}; or, on the command line, all"
        )
