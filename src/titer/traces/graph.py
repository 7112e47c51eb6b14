"""The step graph: a trace's lines of attack, which of them builds on which, and which lead nowhere.

    lines = walk(behaviours, anew)
    lines.of_step[7], lines.parent[2], lines.dead[2]

Ours (arXiv 2604.01702 counts proposals and deductions, and publishes no graph). A proposal opens a line. It builds on
the current one, unless it turns to another (`anew`) or the current one has just been given up: then it stands beside
it. Proposals that follow each other without work between open one line, unless they turn. Giving up returns to the line
below. The answer rests on the line of the last step and on those below it. A line is dead when the answer does not rest
on it and it came to nothing: no recap, no answer, and no check either unless it was given up afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.traces.rules import BACKTRACK, PROPOSE, RECAP, VERIFY, Behaviours

Numbers = NDArray[np.int64]


class Lines(NamedTuple):
    """Lines of attack of one or more texts; the first line of each text is its trunk. `of_step` is (S,), the rest one
    entry a line.

    `text` says whose line it is. `parent` of a trunk is −1. `depth` counts the lines below. `given_up` says that a
    step gave the line up.
    """

    of_step: Numbers
    text: Numbers
    parent: list[int]
    depth: list[int]
    given_up: list[bool]
    dead: list[bool]


def walk(behaviour_S: Behaviours, anew_S: NDArray[np.bool_], first: Sequence[int] = (0,)) -> Lines:
    """The lines of the texts whose steps begin at `first`, from what each step does."""
    total = len(behaviour_S)
    ends = [*first[1:], total]
    trunks, parent, depth, given_up, result = (list[int]() for _ in range(5))
    changes, lines = list[int](), list[int]()  # from step changes[i] on, line lines[i] is the current one
    current, working, last, back, end = -1, True, -1, -1, -1
    events = np.flatnonzero((behaviour_S == PROPOSE) | (behaviour_S == BACKTRACK) | (behaviour_S == RECAP))
    for step, behaviour, anew in zip(
        [*events.tolist(), total], [*behaviour_S[events].tolist(), -1], [*anew_S[events].tolist(), False], strict=True
    ):
        while step >= end and len(trunks) < len(first):  # the next text begins
            begin, end = first[len(trunks)], ends[len(trunks)]
            # working: the line has had a step of its own that is not a proposal; back: before it a line was given up
            current, working, last, back = len(parent), True, begin - 1, begin - 1
            trunks.append(current)
            parent.append(-1)
            depth.append(0)
            changes.append(begin)
            lines.append(current)
        working |= step > last + 1
        if behaviour == RECAP:
            result.append(current)
            working = True
        elif behaviour == BACKTRACK:
            if parent[current] >= 0:
                given_up.append(current)
                current = parent[current]
            working, back = True, step + 1
            changes.append(step + 1)
            lines.append(current)
        elif behaviour == PROPOSE and (anew or working):
            beside = anew and parent[current] >= 0 and step > back  # what has just been given up is left already
            below = parent[current] if beside else current
            current, working = len(parent), False
            parent.append(below)
            depth.append(depth[below] + 1)
            changes.append(step)
            lines.append(current)
        last = step
    text = np.repeat(np.arange(len(trunks)), np.diff([*trunks, len(parent)]))
    of_step = np.repeat(lines, np.diff(np.minimum([*changes, total], total)))
    left = _flags(given_up, len(parent))
    checked = _flags(of_step[behaviour_S == VERIFY], len(parent))
    dead = ~_flags(result, len(parent)) & ~(checked & ~left)
    for trunk, begin, end in zip(trunks, first, ends, strict=True):
        line = int(of_step[end - 1]) if end > begin else trunk
        while line >= 0:
            dead[line] = False
            line = parent[line]
    return Lines(of_step, text, parent, depth, left.tolist(), dead.tolist())


def _flags(chosen: Sequence[int] | Numbers, count: int) -> NDArray[np.bool_]:
    flags = np.zeros(count, dtype=bool)
    flags[chosen] = True
    return flags
