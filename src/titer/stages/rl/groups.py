"""Groups: the rollouts of one problem that are compared with each other.

queue = Queue(problems, seed=0)
queue.take(drawn, 4)                   # the next four problems, behind the `drawn` ones so far
group = Group(update=0, number=17, problem_id="p3", correct=0, graded=8, drawn=8, tokens=410)
group.live, group.failed               # False, True
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from titer.errors import reading
from titer.records import Problem
from titer.store import TRAINING_AGAIN, append_line, read_lines, write_text


class Group(NamedTuple):
    """What came of one problem in one update. `number` counts the groups of a run from 0."""

    update: int
    number: int
    problem_id: str
    correct: int
    graded: int
    drawn: int
    tokens: int

    @property
    def live(self) -> bool:
        """Whether right and wrong rollouts stand beside each other; only then is there anything to learn from."""
        return 0 < self.correct < self.graded

    @property
    def failed(self) -> bool:
        """Whether some were graded and none was right."""
        return self.graded > 0 and self.correct == 0

    @property
    def solved(self) -> bool:
        """Whether some were graded and all were right."""
        return 0 < self.graded == self.correct


class Queue(NamedTuple):
    """The problems in an endless row of shuffled epochs; what comes next depends on how many were drawn alone."""

    problems: Sequence[Problem]
    seed: int

    def take(self, drawn: int, count: int) -> list[Problem]:
        """`count` problems behind the first `drawn`."""
        return [self._at(place) for place in range(drawn, drawn + count)]

    def _at(self, place: int) -> Problem:
        epoch, index = divmod(place, len(self.problems))
        order = np.random.default_rng([self.seed, 7, epoch]).permutation(len(self.problems))
        return self.problems[int(order[index])]


class GroupLog:
    """The groups of a run on disk, a line each; a resumed run first forgets those of the updates it repeats."""

    def __init__(self, path: Path, *, before: int) -> None:
        """Keeps the groups of the updates before `before`."""
        self.path = path
        self.groups = [group for group in read_groups(path) if group.update < before] if path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(_line(group) for group in self.groups))

    def append(self, groups: Iterable[Group]) -> None:
        """Add groups, each forced to disk."""
        for group in groups:
            self.groups.append(group)
            append_line(self.path, group._asdict())


def read_groups(path: Path) -> list[Group]:
    """The groups of a file; a last line torn by a crash is left out. Raises InputError for other lines than groups'."""
    rows = read_lines(path, remedy=TRAINING_AGAIN)
    with reading(path, remedy=TRAINING_AGAIN):
        return [_group(row) for row in rows]


def _group(row: Mapping[str, Any]) -> Group:
    """A row's group. Raises TypeError or ValueError for one that is none."""
    group = Group(**{**row, "problem_id": str(row["problem_id"])})
    if any(not isinstance(value, int) for name, value in row.items() if name != "problem_id"):
        raise ValueError("a count that is no whole number")
    return group


def barren(groups: Sequence[Group]) -> int:
    """How many updates in a row, up to the last, had no group to learn from."""
    last_live = max((group.update for group in groups if group.live), default=-1)
    return groups[-1].update - last_live if groups else 0


def never_solved(groups: Iterable[Group]) -> list[str]:
    """The problems of which every group failed, in the order in which they came: critique takes them."""
    failed: dict[str, bool] = {}
    for group in groups:
        if group.graded:
            failed[group.problem_id] = failed.get(group.problem_id, True) and group.failed
    return [name for name, all_failed in failed.items() if all_failed]


def _line(group: Group) -> str:
    return json.dumps(group._asdict()) + "\n"
