"""Where reasoning is cut into steps: sentences and paragraphs, for many texts at once, at the speed of numpy.

    text = join([b"First, 3 + 4 = 7. Then 7 * 2 = 14.", ...])
    cut(text)                                   # array of the bytes at which steps start

A step is a sentence with what belongs to it: the formula behind its colon, its closing quotes, the white space that
follows. Nothing is cut inside LaTeX, code fences, numbers, abbreviations or enumerators. The rule is ours: arXiv
2604.01702 publishes none. Suffixes say what an array has one entry for: `_B` a byte, `_G` a gap of white space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

PAD = b"\n\n\n\n"  # around every text, so that no rule sees across and none looks outside the buffer
LONGEST_FORMULA = 4000  # bytes; an opener that is not closed within them opens nothing


def _table(characters: bytes) -> Flags:
    flags = np.zeros(256, dtype=bool)
    flags[list(characters)] = True
    return flags


_SPACE = _table(b" \t\n\r\v\f")
_UPPER, _LOWER, _DIGIT = (_table(bytes(range(first, last + 1))) for first, last in ((65, 90), (97, 122), (48, 57)))
_TERMINATOR, _CLOSER = _table(b".!?"), _table(b")]}\"'*_")
_OPENER = _table(b"([\"'*_\\$#<") | _UPPER | _DIGIT  # what a sentence begins with
_LISTED = _table(b"-*#>|")  # what the lines of lists, headings, quotations and tables begin with
_HANGING = _table(b",=+-*/(&<>^\\")  # what a line ends with whose sentence goes on
# Lead bytes of letters beyond ASCII. C2, E2 and part of C3 lead signs (×, →, ≈), which open no sentence.
_FOREIGN = _table(bytes([*range(0xC4, 0xE2), *range(0xE3, 0xF5)]))
_ABBREVIATIONS = (b"dr", b"mr", b"ms", b"vs", b"cf", b"eq", b"e.g", b"i.e", b"fig", b"mrs", b"viz")


class Gaps(NamedTuple):
    """Runs of white space: where each starts and ends (exclusive), and how many newlines it holds."""

    starts: Places
    ends: Places
    newlines: Places


class Text(NamedTuple):
    """Texts in one buffer. Text i is `buffer_B[starts[i]:ends[i]]`; `PAD` stands around them.

    `lower_B` is the buffer with ASCII letters in lower case, `gaps` are all runs of white space, the pads included.
    """

    buffer_B: Bytes
    lower_B: Bytes
    starts: Places
    ends: Places
    gaps: Gaps


def join(texts: Sequence[bytes]) -> Text:
    """One buffer of all texts."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends = np.cumsum(lengths + len(PAD))
    whole = PAD.join([b"", *texts, b""])
    buffer_B, lower_B = (np.frombuffer(part, dtype=np.uint8) for part in (whole, whole.lower()))
    return Text(buffer_B, lower_B, ends - lengths, ends, _gaps(buffer_B))


def cut(text: Text) -> Places:
    """The byte at which each step starts, ascending. Every text that is not empty has a step at its own start.

    Linear in the number of bytes, whatever they are. A text is cut the same whatever stands beside it.
    """
    buffer_B, _, starts, ends, gaps = text
    near = _select(gaps, _worth_a_look(buffer_B, gaps, ends[-1] if len(ends) else 0))
    ended = _ends_a_sentence(text, near, gaps)
    paragraph = near.newlines > 1
    found = near.ends[paragraph | _sentence(buffer_B, near, ended) | _line(buffer_B, near, ended)]
    inner = _ascending(found, _after_wide_stops(buffer_B, gaps))
    owner = np.searchsorted(starts, inner, side="right") - 1
    inner = inner[(inner < ends[owner]) & (inner > _first_words(starts, gaps)[owner])]
    inner = inner[~_inside_formula_or_code(text, inner, gaps)]
    return _ascending(inner, starts[ends > starts])


def _ascending(*places: Places) -> Places:
    merged = np.sort(np.concatenate(places), kind="stable")  # stable: these are sorted runs
    return merged[np.diff(merged, prepend=-1) > 0]


def _gaps(buffer_B: Bytes) -> Gaps:
    space_B = (buffer_B == ord(" ")) | (buffer_B - np.uint8(9) < 5)  # \t \n \v \f \r; what is below wraps around
    # the pads are the first and the last run
    starts, ends = np.append(0, _rises(space_B)), np.append(_rises(~space_B), len(space_B))
    lines = np.flatnonzero(buffer_B == ord("\n"))
    newlines = np.bincount(np.searchsorted(starts, lines, side="right") - 1, minlength=len(starts))
    return Gaps(starts, ends, newlines)


def _rises(flags: Flags) -> Places:
    """Where a run of true begins that something stands before."""
    return np.flatnonzero(flags[1:] & ~flags[:-1]) + 1


def _select(gaps: Gaps, chosen: Flags) -> Gaps:
    return Gaps(gaps.starts[chosen], gaps.ends[chosen], gaps.newlines[chosen])


def _worth_a_look(buffer_B: Bytes, gaps: Gaps, end: int) -> Flags:
    """Gaps that follow a newline or what may end a sentence, and that something follows: one in ten."""
    last_G = buffer_B[gaps.starts - 1]
    ending = (_TERMINATOR | _CLOSER | _table(b"$\x9d\x99"))[last_G]  # 9D, 99: curly quotes
    return (ending | (gaps.newlines > 0)) & (gaps.ends < end)


def _sentence(buffer_B: Bytes, gaps: Gaps, ended: Flags) -> Flags:
    """Gaps behind the end of a sentence, before what can begin one."""
    first_G, second_G = buffer_B[gaps.ends], buffer_B[gaps.ends + 1]
    mark = _last_mark(buffer_B, gaps)
    mark_G, before_G = buffer_B[mark], buffer_B[mark - 1]
    capital = _UPPER[first_G] | _foreign(first_G, second_G)
    # 10! = …, (k! times …), 7 × ... × 1 and 3 . 4 end no sentence, unless a capital follows
    doubtful = (mark_G == ord(".")) & ((before_G == ord(".")) | _SPACE[before_G])
    lone = (_LOWER | _UPPER)[before_G] & ~(_LOWER | _UPPER)[buffer_B[mark - 2]]
    doubtful |= (mark_G == ord("!")) & (_DIGIT[before_G] | (before_G == ord(")")) | lone)
    begins = capital | _OPENER[first_G] | (_LOWER[first_G] & ((mark_G != ord(".")) | _formula(buffer_B, gaps)))
    return ended & np.where(doubtful, capital, begins)


def _formula(buffer_B: Bytes, gaps: Gaps) -> Flags:
    """Whether f(…, x_…, a1…, b=… or c = … stands behind each gap: terse reasoning begins sentences with them."""
    second_G, third_G = buffer_B[gaps.ends + 1], buffer_B[gaps.ends + 2]
    return (_DIGIT | _table(b"(=_^"))[second_G] | (second_G == ord(" ")) & (third_G == ord("="))


def _line(buffer_B: Bytes, gaps: Gaps, ended: Flags) -> Flags:
    """Single newlines that end a step: a wrapped sentence and a formula behind its colon go on."""
    first_G, second_G, last_G = buffer_B[gaps.ends], buffer_B[gaps.ends + 1], buffer_B[gaps.starts - 1]
    formula = (first_G == ord("$")) | (first_G == ord("\\")) & ((second_G == ord("[")) | (second_G == ord("(")))
    begins = (_UPPER | _DIGIT | _OPENER)[first_G] | _foreign(first_G, second_G)
    listed = _LISTED[first_G] | ((first_G == 0xE2) & (second_G == 0x80))  # a bullet, a dash, a quotation
    listed |= _LOWER[first_G] & (second_G == ord(")"))
    return (gaps.newlines == 1) & (ended | listed | (begins & ~formula & ~_HANGING[last_G]))


def _foreign(first: Bytes, second: Bytes) -> Flags:
    quote = (first == 0xE2) & (second == 0x80)
    accented = (first == 0xC3) & (second != 0x97) & (second != 0xB7)
    return _FOREIGN[first] | quote | accented


def _last_mark(buffer_B: Bytes, gaps: Gaps) -> Places:
    """The last byte before each gap that is no closing quote or bracket, which belong to the sentence they close."""
    last = gaps.starts - 1
    for _ in range(3):
        curly = ((buffer_B[last] == 0x9D) | (buffer_B[last] == 0x99)) & (buffer_B[last - 1] == 0x80)
        last = last - np.where(curly, 3, _CLOSER[buffer_B[last]])
    return last


def _ends_a_sentence(text: Text, gaps: Gaps, every: Gaps) -> Flags:
    mark = _last_mark(text.buffer_B, gaps)
    stop = _TERMINATOR[text.buffer_B[mark]]
    stop[stop] = ~(_abbreviates(text.buffer_B, mark[stop]) | _enumerates(text.buffer_B, mark[stop], every))
    return stop


def _abbreviates(buffer_B: Bytes, dots: Places) -> Flags:
    """Whether each dot closes one of the abbreviations."""
    found = np.zeros(len(dots), dtype=bool)
    lower = [buffer_B[dots - back] | 32 for back in range(1, 5)]  # | 32 lowers letters, keeps dots
    for word in _ABBREVIATIONS:
        same = ~_LOWER[lower[len(word)]]
        for back, letter in enumerate(reversed(word)):
            same &= lower[back] == letter
        found |= same
    return found


def _enumerates(buffer_B: Bytes, dots: Places, every: Gaps) -> Flags:
    """Whether each dot closes a number that begins its line: "2. Then"."""
    place = dots - 1
    for _ in range(3):
        place = place - _DIGIT[buffer_B[place]]
    gap = np.maximum(np.searchsorted(every.starts, place, side="right") - 1, 0)
    return (place < dots - 1) & (every.ends[gap] == place + 1) & (every.newlines[gap] > 0)


def _first_words(starts: Places, gaps: Gaps) -> Places:
    """Where the first character of each text stands that is not white space."""
    return gaps.ends[np.searchsorted(gaps.starts, starts, side="right") - 1]


def _after_wide_stops(buffer_B: Bytes, gaps: Gaps) -> Places:
    """Where steps start behind 。！？ and । ॥, which need no space, past closing quotes and white space."""
    leads = np.flatnonzero((buffer_B == 0xE3) | (buffer_B == 0xEF) | (buffer_B == 0xE0))
    second, third = buffer_B[leads + 1], buffer_B[leads + 2]
    full_stop = (buffer_B[leads] == 0xE3) & (second == 0x80) & (third == 0x82)
    other = (buffer_B[leads] == 0xEF) & (second == 0xBC) & ((third == 0x81) | (third == 0x9F))
    danda = (buffer_B[leads] == 0xE0) & (second == 0xA5) & ((third == 0xA4) | (third == 0xA5))
    stops = leads[full_stop | other | danda] + 3
    stops = stops[np.diff(stops, append=0) != 3]  # of ？！ the last
    for _ in range(2):
        stops = stops + 3 * _closes_wide(buffer_B, stops)
    gap = np.minimum(np.searchsorted(gaps.starts, stops), len(gaps.starts) - 1)
    return np.where(gaps.starts[gap] == stops, gaps.ends[gap], stops)


def _closes_wide(buffer_B: Bytes, places: Places) -> Flags:
    """Whether ”, ’, 」, 』 or ） stands at each place."""
    first, second, third = (buffer_B[places + i] for i in range(3))
    curly = (first == 0xE2) & (second == 0x80) & ((third == 0x9D) | (third == 0x99))
    corner = (first == 0xE3) & (second == 0x80) & ((third == 0x8D) | (third == 0x8F))
    bracket = (first == 0xEF) & (second == 0xBC) & (third == 0x89)
    return curly | corner | bracket


def _inside_formula_or_code(text: Text, places: Places, gaps: Gaps) -> Flags:
    buffer_B = text.buffer_B
    signs = np.flatnonzero(_table(b"\\$`")[buffer_B])
    signs = signs[buffer_B[signs - 1] != ord("\\")]
    paragraphs = _ascending(gaps.ends[gaps.newlines > 1], text.starts)
    slashes, dollars, ticks = (signs[buffer_B[signs] == ord(sign)] for sign in "\\$`")
    return (
        _in_latex(text, places, slashes)
        | _in_dollars(buffer_B, places, dollars, paragraphs)
        | _in_fence(text, places, ticks)
    )


def _in_latex(text: Text, places: Places, slashes: Places) -> Flags:
    r"""Between \( and \), \[ and \], or \begin and \end, of one text."""
    inside = np.zeros(len(places), dtype=bool)
    for opener, closer in ((b"(", b")"), (b"[", b"]"), (b"beg", b"end")):
        opens = _spells(text.buffer_B, slashes, opener)
        either = opens | _spells(text.buffer_B, slashes, closer)
        marks, opens = slashes[either], opens[either]
        if len(marks) < 2:
            continue
        after = np.clip(np.searchsorted(marks, places), 1, len(marks) - 1)
        opened, closed = marks[after - 1], marks[after]
        pair = opens[after - 1] & ~opens[after] & (_owner(text, opened) == _owner(text, closed))
        inside |= pair & (opened < places) & (places <= closed) & (closed - opened < LONGEST_FORMULA)
    return inside


def _spells(buffer_B: Bytes, slashes: Places, word: bytes) -> Flags:
    """Whether each slash is followed by these letters."""
    same = np.ones(len(slashes), dtype=bool)
    for place, letter in enumerate(word, 1):
        same &= buffer_B[slashes + place] == letter
    return same


def _in_dollars(buffer_B: Bytes, places: Places, dollars: Places, paragraphs: Places) -> Flags:
    """Between two $ or two $$ of one paragraph, in which their number is even. Prices ("$5 and $10") open nothing."""
    beside = np.flatnonzero(np.diff(dollars) == 1)
    double = np.zeros(len(dollars), dtype=bool)
    double[beside] = True
    second = np.zeros(len(dollars), dtype=bool)
    second[beside + 1] = True
    return _in_pairs(buffer_B, places, dollars[double & ~second], paragraphs, tight=False) | _in_pairs(
        buffer_B, places, dollars[~double & ~second], paragraphs, tight=True
    )


def _in_pairs(buffer_B: Bytes, places: Places, marks: Places, sections: Places, *, tight: bool) -> Flags:
    """Between the odd and the even marks of a section; `tight` marks stand next to what they enclose."""
    if len(marks) < 2:
        return np.zeros(len(places), dtype=bool)
    section = np.searchsorted(sections, marks, side="right")
    first = np.searchsorted(section, section, side="left")
    number = np.searchsorted(section, section, side="right") - first
    opens = ((np.arange(len(marks)) - first) % 2 == 0) & (number % 2 == 0)
    if tight:
        closing = np.minimum(np.arange(1, len(marks) + 1), len(marks) - 1)
        opens &= ~_SPACE[buffer_B[marks + 1]] & ~_SPACE[buffer_B[marks[closing] - 1]]
        opens &= ~_DIGIT[buffer_B[marks[closing] + 1]]
    before = np.searchsorted(marks, places) - 1
    return (before >= 0) & opens[np.maximum(before, 0)]


def _in_fence(text: Text, places: Places, ticks: Places) -> Flags:
    """Between two ``` of one text; one that is not closed opens nothing."""
    buffer_B = text.buffer_B
    three = (buffer_B[ticks + 1] == ord("`")) & (buffer_B[ticks + 2] == ord("`"))
    fences = ticks[three & (buffer_B[ticks - 1] != ord("`"))]
    owner = _owner(text, fences)
    first = np.searchsorted(owner, owner, side="left")
    last = np.searchsorted(owner, owner, side="right") - 1
    rank = np.arange(len(fences)) - first
    opens = (rank % 2 == 0) & (np.arange(len(fences)) < last)
    before = np.searchsorted(fences, places) - 1
    return (before >= 0) & opens[np.maximum(before, 0)] if len(fences) else np.zeros(len(places), dtype=bool)


def _owner(text: Text, places: Places) -> Places:
    return np.searchsorted(text.starts, places, side="right") - 1
