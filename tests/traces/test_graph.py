from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.traces import BEHAVIOURS
from titer.traces.graph import Lines, walk

LETTERS = {"p": "propose", "a": "propose", "d": "deduce", "v": "verify", "b": "backtrack", "r": "recap", "s": "setup"}


def lines_of(trace: str) -> Lines:
    """The lines of a trace spelled by first letters; "a" is a proposal that turns to another line."""
    behaviours = np.array([BEHAVIOURS.index(LETTERS[letter]) for letter in trace], dtype=np.int8)
    return walk(behaviours, np.array([letter == "a" for letter in trace], dtype=bool))


def names(flags: list[bool]) -> list[int]:
    return [line for line, flag in enumerate(flags) if flag]


@pytest.mark.parametrize(
    ("trace", "of_step", "parent", "dead", "given_up"),
    [
        ("", "", [-1], [], []),
        ("sdd", "000", [-1], [], []),
        # a proposal opens a line
        ("dpd", "011", [-1, 0], [], []),
        # it builds on the current one
        ("pdpd", "1122", [-1, 0, 1], [], []),
        # unless it turns to another: then it stands beside it, and the answer does not rest on the other
        ("pdad", "1122", [-1, 0, 0], [1], []),
        ("pdpdad", "112233", [-1, 0, 1, 1], [2], []),
        # beside the trunk there is nothing
        ("dad", "011", [-1, 0], [], []),
        # or the current one has just been given up: the step that gives up is still in it
        ("pdbpd", "11122", [-1, 0, 0], [1], [1]),
        ("pdpdbpd", "1122233", [-1, 0, 1, 1], [2], [2]),
        # both at once is not twice
        ("pdbad", "11122", [-1, 0, 0], [1], [1]),
        ("pdpdbad", "1122233", [-1, 0, 1, 1], [2], [2]),
        # but turning after some work on the line below leaves that one too
        ("pdpdbdad", "11222133", [-1, 0, 1, 0], [1, 2], [2]),
        # proposals that follow each other without work open one line
        ("pppd", "1111", [-1, 0], [], []),
        ("pvpd", "1122", [-1, 0, 1], [], []),
        ("pspd", "1122", [-1, 0, 1], [], []),
        # unless they turn
        ("paad", "1233", [-1, 0, 0, 0], [1, 2], []),
        # giving up returns to the line below
        ("pdpdbd", "112221", [-1, 0, 1], [2], [2]),
        ("pdpdbdbd", "11222110", [-1, 0, 1], [1, 2], [1, 2]),
        # the trunk cannot be given up
        ("dbd", "000", [-1], [], []),
        ("bbbpd", "00011", [-1, 0], [], []),
        # a line that came to a result is not dead, though the answer does not rest on it
        ("pdrad", "11122", [-1, 0, 0], [], []),
        ("pdrbd", "11110", [-1, 0], [], [1]),
        # nor is one that was checked, unless it was given up then
        ("pdvad", "11122", [-1, 0, 0], [], []),
        ("pdvbpd", "111122", [-1, 0, 0], [1], [1]),
        # a recap is work of its own
        ("prpd", "1122", [-1, 0, 1], [], []),
        # the last step gives up: the answer rests on the line that it is in
        ("dpdb", "0111", [-1, 0], [], [1]),
        ("pdpdbb", "112221", [-1, 0, 1], [2], [1, 2]),
        ("pdb", "111", [-1, 0], [], [1]),
        # a proposal is the last word
        ("dpda", "0112", [-1, 0, 0], [1], []),
    ],
)
def test_lines(trace: str, of_step: str, parent: list[int], dead: list[int], given_up: list[int]) -> None:
    lines = lines_of(trace)
    assert "".join(map(str, lines.of_step)) == of_step
    assert lines.parent == parent
    assert names(lines.dead) == dead
    assert names(lines.given_up) == given_up


def test_depth_counts_the_lines_below() -> None:
    assert lines_of("pdpdpd").depth == [0, 1, 2, 3]
    assert lines_of("pdadad").depth == [0, 1, 1, 1]
    assert lines_of("pdpdbpdpd").depth == [0, 1, 2, 2, 3]


def naive(trace: str) -> tuple[list[int], list[int], set[int]]:
    """The rules of the module's docstring, a step at a time: line of each step, parents, dead lines."""
    parent, line, current = [-1], list[int](), 0
    results, checked, given_up = set[int](), set[int](), set[int]()
    worked, left = True, False
    for letter in trace:
        if letter in "pa" and (letter == "a" or worked):
            beside = letter == "a" and current > 0 and not left
            parent.append(parent[current] if beside else current)
            current, worked = len(parent) - 1, False
        elif letter not in "pa":
            worked = True
        line.append(current)
        left = letter == "b"
        if letter == "r":
            results.add(current)
        if letter == "v":
            checked.add(current)
        if letter == "b":
            given_up.add(current)
            current = max(0, parent[current])
    alive, below = results | (checked - given_up), line[-1] if line else 0
    while below >= 0:
        alive = alive | {below}
        below = parent[below]
    return line, parent, set(range(len(parent))) - alive


@given(st.text("padvbrs", max_size=40))
@settings(deadline=None)
def test_the_walk_is_the_rules_a_step_at_a_time(trace: str) -> None:
    lines = lines_of(trace)
    line, parent, dead = naive(trace)
    assert (lines.of_step.tolist(), lines.parent, set(names(lines.dead))) == (line, parent, dead)
    assert all(lines.depth[i] == lines.depth[parent[i]] + 1 for i in range(1, len(parent)))
    assert not lines.dead[0] and not lines.given_up[0]
