"""The step graph of one trace: lines of attack, which of them builds on which, and which lead nowhere.

    lines = walk(behaviours, anew)
    lines.of_step[7], lines.parent[2], lines.dead[2]

Ours (arXiv 2604.01702 counts proposals and deductions, and publishes no graph). A proposal opens a line. It builds on
the current one, unless it turns to another (`anew`) or the current one has just been given up: then it stands beside
it. Proposals that follow each other without work between open one line, unless they turn. Giving up returns to the line
below. The answer rests on the line of the last step and on those below it. A line is dead when the answer does not rest
on it and it came to no result (a recap, an answer).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.traces.rules import BACKTRACK, PROPOSE, RECAP, Labels

Numbers = NDArray[np.int64]


class Lines(NamedTuple):
    """Lines of attack; line 0 is the trunk. `of_step` is (S,), the rest one entry a line.

    `parent` of the trunk is −1. `depth` counts the lines below. `given_up` says that a step gave the line up.
    """

    of_step: Numbers
    parent: list[int]
    depth: list[int]
    given_up: list[bool]
    dead: list[bool]


def walk(behaviour_S: Labels, anew_S: NDArray[np.bool_]) -> Lines:
    """The lines of one trace from its steps' behaviours."""
    changes, lines, parent, given_up, result = [0], [0], [-1], [False], [False]
    current, working = 0, True  # working: the line has had a step of its own that is not a proposal
    back = -1  # the step before which a line was given up
    events = np.flatnonzero((behaviour_S == PROPOSE) | (behaviour_S == BACKTRACK) | (behaviour_S == RECAP))
    last = -1
    for step, behaviour, anew in zip(
        events.tolist(), behaviour_S[events].tolist(), anew_S[events].tolist(), strict=True
    ):
        working |= step > last + 1
        if behaviour == RECAP:
            result[current] = working = True
        elif behaviour == BACKTRACK:
            given_up[current] = current > 0
            current, working, back = max(parent[current], 0), True, step + 1
            changes.append(step + 1)
            lines.append(current)
        elif anew or working:
            beside = anew and current > 0 and step > back  # what has just been given up is left already
            parent.append(parent[current] if beside else current)
            given_up.append(False)
            result.append(False)
            current, working = len(parent) - 1, False
            changes.append(step)
            lines.append(current)
        last = step
    total = len(behaviour_S)
    of_step = np.repeat(lines, np.diff(np.minimum([*changes, total], total)))
    return Lines(of_step, parent, _depths(parent), given_up, _dead(parent, result, lines[_last_change(changes, total)]))


def _last_change(changes: list[int], total: int) -> int:
    """Which change of line holds for the last step; one behind it holds for none."""
    return max(i for i, step in enumerate(changes[-2:], max(0, len(changes) - 2)) if step < max(total, 1))


def _depths(parent: list[int]) -> list[int]:
    depth = [0] * len(parent)
    for line in range(1, len(parent)):
        depth[line] = depth[parent[line]] + 1
    return depth


def _dead(parent: list[int], result: list[bool], last: int) -> list[bool]:
    dead = [not found for found in result]
    while last >= 0:
        dead[last] = False
        last = parent[last]
    return dead
