"""One text cut into steps, with what each does.

    for step in read_steps("First, 3 + 4 = 7.\n\nPerhaps 3 * 4?"):
        step.text, step.start, step.behaviour, step.line, step.dead

Thin views of `cut`, `rules` and `graph`, which work on many texts at once: for a million traces use `features`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from titer.records import Trace
from titer.traces.cues import BEHAVIOURS
from titer.traces.cut import cut, join
from titer.traces.features import batches, measure_texts, read


class Step(NamedTuple):
    """A piece of a text: the pieces joined give the text back.

    `start` and `end` count characters. `line` is the line of attack that the step is in (0: the trunk), `dead` says
    that the answer does not rest on that line.
    """

    start: int
    end: int
    text: str
    behaviour: str
    line: int
    dead: bool


def text_of(trace: Trace) -> str:
    """What is read of a trace: its reasoning, or the response of a trace that has none."""
    return trace.reasoning if trace.reasoning.strip() else trace.response


def cut_text(text: str) -> list[str]:
    """The steps of a text as pieces of it, white space included."""
    raw = text.encode("utf-8", "surrogatepass")
    joined = join([raw])
    return _pieces(raw, (cut(joined) - joined.starts[0]).tolist())


def read_steps(text: str) -> list[Step]:
    """The steps of a text with their behaviours and lines of attack."""
    return next(read_many([text]))


def read_many(texts: Sequence[str]) -> Iterator[list[Step]]:
    """The same of many texts, read together: short ones take a small part of the time so."""
    for batch in batches(texts):
        reading = read(batch)
        lines, places = reading.lines, np.arange(reading.texts)
        firsts = np.searchsorted(reading.owner_S, [*places, reading.texts]).tolist()
        trunks = np.searchsorted(lines.text, places).tolist()
        starts, behaviours = reading.start_S.tolist(), reading.judged.behaviour_S.tolist()
        for place, ((first, last), trunk) in enumerate(zip(pairwise(firsts), trunks, strict=True)):
            raw, begin = batch[place].encode("utf-8", "surrogatepass"), int(reading.text.starts[place])
            pieces = _pieces(raw, [start - begin for start in starts[first:last]]) if last > first else []
            found, at = list[Step](), 0
            for piece, step in zip(pieces, range(first, last), strict=True):
                line = int(lines.of_step[step])
                kind = BEHAVIOURS[behaviours[step]]
                found.append(Step(at, at + len(piece), piece, kind, line - trunk, lines.dead[line]))
                at += len(piece)
            yield found


def step_kinds(text: str) -> list[tuple[int, int]]:
    """Where each step of a text begins, and which of BEHAVIOURS it is: the labels that training logs by."""
    return [(step.start, BEHAVIOURS.index(step.behaviour)) for step in read_steps(text)]


def cue_share(text: str) -> float:
    """Share of steps that contain Perhaps, Another or Alternatively (arXiv 2604.01702, proxy 2); 0 without steps."""
    share = float(measure_texts([text])["cue_share"][0])
    return 0.0 if math.isnan(share) else share


def _pieces(raw: bytes, starts: list[int]) -> list[str]:
    bounds = pairwise([*starts, len(raw)])
    return [raw[i:j].decode("utf-8", "surrogatepass") for i, j in bounds]
