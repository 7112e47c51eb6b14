"""What can be counted in a trace, for many traces at once.

    table = measure_texts(["First, …", …])
    table["propose_share"]          # one number a text, nan where there is nothing to count

All of it is arithmetic on bytes: no model, no tokenizer. Shares "of the text" are shares of its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titer.traces.cues import BEHAVIOURS
from titer.traces.cut import Places, Text, cut, join
from titer.traces.graph import Lines, walk
from titer.traces.rules import DEDUCE, PROPOSE, RECAP, VERIFY, Judged, judge
from titer.traces.words import Words, find_words

Column = NDArray[np.float64]
Table = dict[str, Column]

BATCH = 1 << 18  # characters that are measured together: arrays that stay in a core's cache
NGRAM = 4  # words
SLOT_BITS = 18  # a table that stays in a core's cache
ODD = 0x9E3779B1  # of the polynomial hash; odd, so that it has an inverse
MIX = np.uint64(0x9E3779B97F4A7C15)
PROXY = ("perhaps", "another", "alternatively")  # arXiv 2604.01702, second proxy: the words are the paper's


@dataclass(frozen=True, eq=False)
class Reading:
    """Texts cut and judged: step s is of text `owner_S[s]` and begins at byte `start_S[s]` of the buffer."""

    text: Text
    start_S: Places
    end_S: Places
    owner_S: Places
    judged: Judged

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return len(self.text.starts)

    @cached_property
    def lines(self) -> Lines:
        """Their lines of attack."""
        return walk(*self.judged, np.searchsorted(self.owner_S, np.arange(self.texts)).tolist())

    def count(self, which_S: NDArray[Any]) -> Column:
        """How many of each text's steps are among `which_S`, a flag a step or places of steps."""
        return np.bincount(self.owner_S[which_S], minlength=self.texts).astype(float)


class Feature(NamedTuple):
    """What a feature says of a text, and how it is measured: one number a text."""

    says: str
    measure: Callable[[Reading], Column]


def read(texts: Sequence[str]) -> Reading:
    """Cut texts into steps and judge them. Lone surrogates are read as they are."""
    text = join([one.encode("utf-8", "surrogatepass") for one in texts])
    start_S = cut(text)
    owner_S = np.searchsorted(text.starts, start_S, side="right") - 1
    end_S = np.minimum(np.append(start_S[1:], 0 if not len(start_S) else text.ends[-1]), text.ends[owner_S])
    return Reading(text, start_S, end_S, owner_S, judge(text, start_S))


def measure_texts(texts: Sequence[str]) -> Table:
    """Every feature of every text, a column each, in the order of FEATURES."""
    return stack([measure(read(batch)) for batch in batches(texts)])


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in runs of about BATCH characters."""
    first = size = 0
    for last, text in enumerate(texts):
        size += len(text)
        if size >= BATCH:
            yield texts[first : last + 1]
            first, size = last + 1, 0
    if first < len(texts):
        yield texts[first:]


def stack(tables: Sequence[Table]) -> Table:
    """One table of the rows of all."""
    return {name: np.concatenate([np.zeros(0), *(table[name] for table in tables)]) for name in FEATURES}


def measure(reading: Reading) -> Table:
    """Every feature of texts that have been read."""
    return {name: feature.measure(reading) for name, feature in _FEATURES.items()}


def transitions(reading: Reading) -> NDArray[np.int64]:
    """How often each behaviour follows each, (texts, from, to)."""
    kinds, count = len(BEHAVIOURS), len(reading.text.starts)
    behaviour = reading.judged.behaviour_S.astype(np.int64)
    pair = reading.owner_S[1:] == reading.owner_S[:-1]
    flat = (reading.owner_S[1:] * kinds + behaviour[:-1]) * kinds + behaviour[1:]
    return np.bincount(flat[pair], minlength=count * kinds * kinds).reshape(count, kinds, kinds)


def _steps(reading: Reading) -> Column:
    return np.bincount(reading.owner_S, minlength=reading.texts).astype(float)


def _characters(reading: Reading) -> Column:
    return (reading.text.ends - reading.text.starts).astype(float)


def _share(which_S: NDArray[np.bool_], reading: Reading) -> Column:
    return _ratio(reading.count(which_S), _steps(reading))


def _share_of(behaviour: int, reading: Reading) -> Column:
    return _share(reading.judged.behaviour_S == behaviour, reading)


def _forward_share(reading: Reading) -> Column:
    return _share_of(DEDUCE, reading) + _share_of(RECAP, reading)


def _ratio(part: NDArray[np.float64] | NDArray[np.int64], whole: NDArray[np.float64] | NDArray[np.int64]) -> Column:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _again(behaviour: int, reading: Reading) -> Column:
    same = reading.judged.behaviour_S == behaviour
    followed = same.copy()
    followed[-1:] = False
    followed[:-1] &= _as_before(reading.owner_S)[1:]
    return _ratio(reading.count(followed & np.roll(same, -1)), reading.count(followed))


def _cue_share(reading: Reading) -> Column:
    matches = find_words(_proxy_words(), reading.text)
    return _share(np.bincount(matches.step_of(reading.start_S), minlength=len(reading.start_S)) > 0, reading)


@cache
def _proxy_words() -> Words:
    return Words.of(dict.fromkeys(PROXY, True))


def _lines(reading: Reading) -> Column:
    return np.bincount(reading.lines.text, minlength=reading.texts).astype(float) - 1


def _depth(reading: Reading) -> Column:
    depth = np.zeros(reading.texts)
    np.maximum.at(depth, reading.lines.text, reading.lines.depth)
    return depth


def _given_up(reading: Reading) -> Column:
    return np.bincount(reading.lines.text, reading.lines.given_up, minlength=reading.texts).astype(float)


def _dead_end_share(reading: Reading) -> Column:
    length_S = reading.end_S - reading.start_S
    dead_S = np.array(reading.lines.dead, dtype=bool)[reading.lines.of_step]
    whole, dead = (np.bincount(reading.owner_S, w, minlength=reading.texts) for w in (length_S, length_S * dead_S))
    return _ratio(dead, whole)


def _begins_check(reading: Reading) -> NDArray[np.bool_]:
    verify = reading.judged.behaviour_S == VERIFY
    begins = verify.copy()
    begins[1:] &= ~(verify[:-1] & _as_before(reading.owner_S)[1:])
    return begins


def _checks(reading: Reading) -> Column:
    return reading.count(_begins_check(reading))


def _checks_after_answer(reading: Reading) -> Column:
    steps = len(reading.owner_S)
    recaps = np.flatnonzero(reading.judged.behaviour_S == RECAP)
    first_recap = np.full(reading.texts, steps)
    np.minimum.at(first_recap, reading.owner_S[recaps], recaps)
    return reading.count(_begins_check(reading) & (np.arange(steps) > first_recap[reading.owner_S]))


@cache
def _powers(size: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Powers of an odd number and of its inverse modulo 2**32."""
    up, down = (np.full(size, number, dtype=np.uint32) for number in (ODD, pow(ODD, -1, 1 << 32)))
    return np.cumprod(up, dtype=np.uint32), np.cumprod(down, dtype=np.uint32)


def repeated_share(text: Text) -> Column:
    """Share of each text's n-grams of words that have stood in it before; nan for fewer words than one n-gram.

    Letter case does not count; white space does. N-grams are told apart by a 32-bit polynomial hash of their bytes,
    which takes about one in 4,000,000,000 pairs for equal.
    """
    lower_B = text.lower_B
    up, down = _powers(1 << max(len(lower_B) - 1, 1).bit_length())
    starts, ends = text.gaps.ends[:-1], text.gaps.starts[1:]  # of the words
    sums = np.cumsum(lower_B * up[: len(lower_B)], dtype=np.uint32)
    first, last = starts[: max(len(starts) - NGRAM + 1, 0)], ends[NGRAM - 1 :]
    grams = (sums[last - 1] - sums[first - 1]) * down[first]
    words = np.diff(np.searchsorted(starts, [*text.starts, len(lower_B)]))
    owner = np.repeat(np.arange(len(text.starts)), words)
    inside = owner[: len(grams)] == owner[NGRAM - 1 :]
    return _repeated(grams[inside], owner[: len(grams)][inside], len(text.starts))


def _repeated(grams: NDArray[np.uint32], owner: Places, count: int) -> Column:
    keys = grams.astype(np.uint64) | (owner.astype(np.uint64) << np.uint64(32))
    return _ratio(np.bincount(owner[_stood_before(keys)], minlength=count), np.bincount(owner, minlength=count))


def _stood_before(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each key stands earlier in the array too. A table of slots settles most of them without a sort."""
    slot = (keys * MIX >> np.uint64(64 - SLOT_BITS)).astype(np.int64)
    place, first = np.arange(len(keys), dtype=np.int32), np.empty(1 << SLOT_BITS, dtype=np.int32)
    first[slot[::-1]] = place[::-1]  # of those that share a slot, the first
    holder = first[slot]
    again = (holder != place) & (keys[holder] == keys)
    rest = np.flatnonzero(keys[holder] != keys)  # every occurrence of a key is here, or none
    order = np.argsort(keys[rest], kind="stable")
    again[rest[order[_as_before(keys[rest[order]])]]] = True
    return again


def _as_before(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value equals the one before it."""
    same = np.zeros(len(values), dtype=bool)
    same[1:] = values[1:] == values[:-1]
    return same


def _language_switches(reading: Reading) -> Column:
    """Steps count as of other script when a third of their bytes are (beyond Latin, signs and emoji).

    Not Greek, whose letters are names of quantities; nor what begins with the byte E1, Vietnamese's Latin among it.
    """
    buffer = reading.text.buffer_B
    three = ((buffer >= 0xE3) & (buffer <= 0xED)) | (buffer == 0xE0)
    lead = np.flatnonzero(three | ((buffer >= 0xD0) & (buffer <= 0xDF)))
    if not len(lead):
        return np.zeros(reading.texts)
    width = np.where(buffer[lead] >= 0xE0, 3, 2)
    step = np.searchsorted(reading.start_S, lead, side="right") - 1
    foreign = np.bincount(step, weights=width, minlength=len(reading.start_S))
    other = 3 * foreign >= reading.end_S - reading.start_S
    change = (other[1:] != other[:-1]) & (reading.owner_S[1:] == reading.owner_S[:-1])
    return np.bincount(reading.owner_S[1:][change], minlength=reading.texts).astype(float)


# one line a feature, in the order of every table
_FEATURES: Final[Mapping[str, Feature]] = {
    "steps": Feature("number of steps", _steps),
    "characters": Feature("length of the text in bytes", _characters),
    **{
        f"{name}_share": Feature(f"share of steps that {name}", partial(_share_of, i))
        for i, name in enumerate(BEHAVIOURS)
    },
    "forward_share": Feature(
        "share of steps that deduce or recap: deductions in a taxonomy without recaps", _forward_share
    ),
    "propose_to_propose": Feature("share of proposals that are followed by another proposal", partial(_again, PROPOSE)),
    "deduce_to_deduce": Feature("share of deductions that are followed by another deduction", partial(_again, DEDUCE)),
    "cue_share": Feature(
        "share of steps with Perhaps, Another or Alternatively (arXiv 2604.01702, proxy 2)", _cue_share
    ),
    "lines": Feature("lines of attack that were opened", _lines),
    "depth": Feature("most lines of attack that build on one another", _depth),
    "given_up": Feature("lines that a step gives up", _given_up),
    "dead_end_share": Feature("share of the text in lines that the answer does not rest on", _dead_end_share),
    "checks": Feature("runs of verifying steps", _checks),
    "checks_after_answer": Feature("runs of verifying steps after the first recap or answer", _checks_after_answer),
    "repeated_share": Feature(
        f"share of {NGRAM}-word sequences that the text has had before", lambda reading: repeated_share(reading.text)
    ),
    "language_switches": Feature(
        "changes between Latin (with Greek) and other script from step to step", _language_switches
    ),
}
DESCRIPTIONS = {name: feature.says for name, feature in _FEATURES.items()}
FEATURES = tuple(_FEATURES)
