"""How a trace is laid out to be read: what marks each behaviour, which steps fold, how much is shown.

    for run in runs(steps):
        run.dead, run.first, run.steps, run.summary        # "abandoned line, 5 steps"

Page and terminal share it. A mark never rests on colour alone: the word stands beside it, and bars differ in shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple, Protocol

from titer.report.data import ReadStep

LONGEST_TEXT: Final = 20_000  # characters of one trace or completion that are shown
MOST_STEPS: Final = 1_000  # of one trace


class Look(NamedTuple):
    """How a behaviour is marked: a letter where there is no room for its name, and a style of rich's."""

    letter: str
    style: str


# The page's looks are in page.css, as classes of the same names.
LOOKS: Final[Mapping[str, Look]] = {
    "propose": Look("P", "bold cyan"),
    "deduce": Look("D", ""),
    "verify": Look("V", "green"),
    "backtrack": Look("B", "bold red"),
    "recap": Look("R", "magenta"),
    "setup": Look("S", "yellow"),
}


class Readable(Protocol):
    """What is shown of a step: a `ReadStep`, or a step of the traces room, of which a trace may have millions."""

    @property
    def text(self) -> str:
        """A piece of the trace."""

    @property
    def behaviour(self) -> str:
        """What it does."""

    @property
    def line(self) -> int:
        """The line of attack that it is in."""

    @property
    def dead(self) -> bool:
        """Whether the answer does not rest on that line."""


class Run(NamedTuple):
    """Steps that follow each other, all of abandoned lines or none; the first one is step number `first`."""

    dead: bool
    first: int
    steps: Sequence[Readable]

    @property
    def summary(self) -> str:
        """What an abandoned run is called while it is folded."""
        lines, steps = len({step.line for step in self.steps}), len(self.steps)
        what = "abandoned line" if lines == 1 else f"{lines} abandoned lines"
        return f"{what}, {steps} step{'s' * (steps != 1)}"


def runs(steps: Sequence[Readable]) -> list[Run]:
    """The steps as runs as long as can be, dead and live ones in turn."""
    found: list[Run] = []
    place = 1
    for dead, group in groupby(steps, key=lambda step: step.dead):
        run = Run(dead, place, list(group))
        found.append(run)
        place += len(run.steps)
    return found


def fitting(steps: Sequence[ReadStep]) -> Sequence[ReadStep]:
    """The steps from the first that fit into what is shown of one trace: at least one."""
    used = 0
    for place, step in enumerate(steps[:MOST_STEPS]):
        used += len(step.text)
        if used > LONGEST_TEXT:
            return steps[: max(place, 1)]
    return steps[:MOST_STEPS]


def letter(behaviour: str) -> str:
    """One letter for a behaviour, for narrow columns."""
    return LOOKS[behaviour].letter if behaviour in LOOKS else behaviour[:2]


def look_class(behaviour: str) -> str:
    """The page's class for a behaviour: names that the page does not know have one look together."""
    return f"b-{behaviour}" if behaviour in LOOKS else "b-other"


def bare(text: str) -> str:
    """A step's text without the blank lines around it; its first line stays indented."""
    lines = text.rstrip().splitlines()
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines)


def opening(text: str, length: int = 90) -> str:
    """The beginning of a text on one line."""
    words = " ".join(text[: 4 * length].split())
    return words if len(words) <= length else f"{words[: length - 1].rstrip()}…"
