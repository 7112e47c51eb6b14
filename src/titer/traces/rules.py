"""What each step does, by rules: weighted cues and the step's shape. Many texts at once.

    text = join(texts)
    judged = judge(text, cut(text))
    judged.behaviour_S, judged.anew_S        # an index into BEHAVIOURS; whether it turns to another line of attack

A step does what its cues say most strongly; without cues it deduces. Suffixes: `_B` a byte, `_S` a step, `_M` a match.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.traces.cues import ANEW, BEHAVIOURS, CUES, STEMS
from titer.traces.cut import Places, Text
from titer.traces.words import Words, find_words

Behaviours = NDArray[np.int8]

PROPOSE, DEDUCE, VERIFY, BACKTRACK, RECAP, SETUP = range(len(BEHAVIOURS))
OPENING = 14  # bytes before a cue that still opens its step: "Okay, so but " and the like
BEGINNING = 4  # steps at the beginning of a text that may set up the problem
# Shape: an equation moves a line forward, a question opens one, the beginning sets up. Tuned with the cues.
EQUATION, QUESTION, FIRST = 1.5, 1.5, 1.5
DEFAULT = 1.5  # what a step must say to do anything but deduce


class Judged(NamedTuple):
    """For each step its behaviour, and whether it is a proposal that turns away from the current line of attack."""

    behaviour_S: Behaviours
    anew_S: NDArray[np.bool_]


class _Lexicon(NamedTuple):
    words: Words
    anew: NDArray[np.bool_]  # phrases that turn to another line of attack
    weights: NDArray[np.float64]  # phrases × behaviours, for a match anywhere
    opening: NDArray[np.float64]  # phrases × behaviours, on top of that for a match that opens its step


@cache
def _lexicon() -> _Lexicon:
    spelled = {cue: _spellings(cue.phrase) for cue in CUES}
    phrases = list(dict.fromkeys(phrase for spellings in spelled.values() for phrase in spellings))
    weights, opening = (np.zeros((len(phrases), len(BEHAVIOURS))) for _ in range(2))
    for cue, spellings in spelled.items():
        for phrase in spellings:
            (opening if cue.opens else weights)[phrases.index(phrase), BEHAVIOURS.index(cue.behaviour)] += cue.weight
    words = Words.of({phrase: bool(re.search("[a-z]$", phrase)) and phrase not in STEMS for phrase in phrases})
    return _Lexicon(words, np.array([phrase in ANEW for phrase in phrases], dtype=bool), weights, opening)


def _spellings(phrase: str) -> list[str]:
    """The phrase, with a curly apostrophe, without its commas."""
    return list(dict.fromkeys([phrase, phrase.replace("'", "’"), phrase.replace(",", "")]))


def judge(text: Text, steps: Places) -> Judged:
    """What each step does, (S,). `steps` are the starts that `cut` gives."""
    if not len(steps):
        return Judged(np.zeros(0, dtype=np.int8), np.zeros(0, dtype=bool))
    scores = np.zeros((len(steps), len(BEHAVIOURS)))
    scores[:, DEDUCE] = DEFAULT
    anew = _add_cues(scores, text, steps)
    _add_shape(scores, text, steps)
    behaviour = scores.argmax(axis=1).astype(np.int8)
    return Judged(behaviour, anew & (behaviour == PROPOSE))


def _add_cues(scores: NDArray[np.float64], text: Text, steps: Places) -> NDArray[np.bool_]:
    """Adds what the cues say, and returns which steps hold one that turns to another line of attack."""
    lexicon = _lexicon()
    matches = find_words(lexicon.words, text)
    step_M = matches.step_of(steps)
    opens_M = matches.start_M - steps[step_M] <= OPENING
    np.add.at(scores, step_M, lexicon.weights[matches.phrase_M] + lexicon.opening[matches.phrase_M] * opens_M[:, None])
    return np.bincount(step_M[lexicon.anew[matches.phrase_M]], minlength=len(steps)) > 0


def _add_shape(scores: NDArray[np.float64], text: Text, steps: Places) -> None:
    signs = np.flatnonzero((text.buffer_B == ord("=")) | (text.buffer_B == ord("?")))
    step = np.searchsorted(steps, signs, side="right") - 1
    equals = text.buffer_B[signs] == ord("=")
    equation, question = (
        np.bincount(step[which & (step >= 0)], minlength=len(steps)) > 0 for which in (equals, ~equals)
    )
    scores[:, DEDUCE] += EQUATION * equation
    scores[:, PROPOSE] += QUESTION * question
    owner = np.searchsorted(text.starts, steps, side="right") - 1
    rank = np.arange(len(steps)) - np.searchsorted(steps, text.starts)[owner]
    scores[:, SETUP] += np.where(rank < BEGINNING, FIRST, -2 * FIRST)
