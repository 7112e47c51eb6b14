"""Phrases found in texts, whole words only, in one pass over all texts.

words = Words.of({"let me check": True, "satisf": False})      # False: any ending will do
matches = find_words(words, text)
matches.phrase_M, matches.start_M                              # which phrase, and at which byte
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from titer.traces.cut import Flags, Places, Text

_WORD = np.zeros(256, dtype=bool)
_WORD[[*range(48, 58), *range(65, 91), *range(97, 123)]] = True


class Words(NamedTuple):
    """Phrases in lower case, ready to be searched for; `whole` says which must end where a word ends."""

    find: BytesAhoCorasick
    whole: Flags

    @classmethod
    def of(cls, phrases: Mapping[str, bool]) -> Words:
        """Phrases, and whether each must end where a word ends. Of phrases that overlap the longest is found."""
        encoded = [phrase.encode() for phrase in phrases]
        find = BytesAhoCorasick(encoded, matchkind=MatchKind.LeftmostLongest, implementation=Implementation.DFA)
        return cls(find, np.array([*phrases.values()], dtype=bool))


class Matches(NamedTuple):
    """Which phrase stands at which byte of the buffer, ascending, (M,)."""

    phrase_M: Places
    start_M: Places

    def step_of(self, start_S: Places) -> Places:
        """The step that each match begins in, for steps that begin at `start_S`."""
        return np.searchsorted(start_S, self.start_M, side="right") - 1


def find_words(words: Words, text: Text) -> Matches:
    """Every match of whole words in any letter case (of ASCII letters)."""
    found = words.find.find_matches_as_indexes(text.lower_B.data)
    phrase_M, start_M, end_M = np.fromiter(chain.from_iterable(found), np.int64, 3 * len(found)).reshape(-1, 3).T
    begins = ~(_WORD[text.buffer_B[start_M - 1]] & _WORD[text.buffer_B[start_M]])
    ends = ~words.whole[phrase_M] | ~_WORD[text.buffer_B[end_M]]
    return Matches(phrase_M[begins & ends], start_M[begins & ends])
