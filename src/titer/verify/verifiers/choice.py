r"""Multiple choice: the letter of an option, A to J.

    problem = Problem(id="q", prompt="… (A) … (B) …", answer="B", verifier="choice")
    check_choice(problem, "So the answer is (B).")    # Grade(1.0, "B")
    check_choice(problem, r"\boxed{\text{C}}")         # Grade(0.0, "C")

The letter is read from the last `<answer>…</answer>` or the last `\boxed{…}`, or else after the last "answer
is", "correct option is" or "Answer:" that a letter follows, or else from a response of one line that begins with the
letter of its only option ("B) Paris"), or else from the last line if that is a bare letter. An unmarked small letter
is no answer ("the answer is a number"), nor is a capital that begins a phrase ("the answer is A number").
"""

from __future__ import annotations

import re

from titer.errors import InputError
from titer.records.boxed import last_boxed
from titer.records.schema import Problem
from titer.verify.answers import last_tagged
from titer.verify.grade import Grade

_GOLD = re.compile(r"\(?([A-Ja-j])[).]?")
_OPENING = r"(?:\\(?:text|math)[a-z]{0,2}\s*\{|\\[(\[]|[\s*_`$({\[\"'])*(?:(?i:option|choice)[\s*_`]{1,4})?[(\[{]?"
_BOXED = re.compile(_OPENING + r"([A-Ja-j])(?![A-Za-z0-9^_+\-*/=])")
_MARKED = re.compile(
    r"\b(?i:answer|(?:correct|right|best|my)\s(?:option|choice))\b[\s*_]{0,8}(?:\b(?i:is)\b[\s*_]{0,8}:?|:)"
    r"(?:\s(?i:therefore|thus|hence|then|clearly|indeed|definitely|(?:most )?likely|probably)\b,?)?"
    r"(?:\\[(\[]|[\s*_`$]){0,8}(?i:(?:option|choice)\s{1,4}[*_`]{0,3})?"
    r"(?:\\(?:text|textbf|mathrm|mathbf)\s?\{)?"
    r"(?:[(\[{]{1,2}\s?([A-Ja-j])\s?[)\]}]"  # a letter in brackets, whatever follows
    # a capital, then no phrase: an end, a mark, a reason, or what the option says
    r"|([A-J])(?=[).:]|(?:\\[)\]]|[\s*_`$}])*(?:$|[.,:;!(–—]|-\s)|\s{1,4}(?:because|since|as|due)\b))",
    re.MULTILINE,
)
# between tags: a letter in brackets, or a capital with a mark behind it
_LEADING = re.compile(r"[\s*_`$]*(?:(?i:option|choice)\s{1,4}[*_`]{0,3})?(?:\(([A-Ja-j])\)|([A-J])[*_`]{0,3}[).:])")
# the options that a line names, and one that it begins with, of which it does not go on to say something
_NAMED = re.compile(r"(?<![A-Za-z0-9])(?:\([A-Ja-j]\)|[A-J][*_`]{0,3}[).:](?![A-Za-z0-9]))")
_SAID_OF = re.compile(r"[*_`).:\s]*(?:is|are|was|were|can|cannot|could|would|does|must|seems)\b")
_BARE = re.compile(r"[\s*_`$(\[\\]*([A-J])[\s*_`$)\].\\]*")


def check_choice(problem: Problem, response: str) -> Grade:
    """Grade the letter of an option. `parsed` is the capital letter, None if there is none."""
    letter = _read(response)
    return Grade(0.0, None) if letter is None else Grade(float(letter == _gold(problem.answer)), letter)


def validate_choice(problem: Problem) -> None:
    """Raise InputError unless the gold answer is a letter from A to J."""
    if _gold(problem.answer) is None:
        fault = f"problem {problem.id!r}: {problem.answer[:40]!r} is not the letter of an option"
        raise InputError(fault, field="answer", remedy="give one letter from A to J, or use the verifier 'exact'")


def _gold(answer: str) -> str | None:
    match = _GOLD.fullmatch(answer.strip())
    return match.group(1).upper() if match else None


def _read(response: str) -> str | None:
    tagged = last_tagged(response)
    text = response if tagged is None else tagged
    boxed = last_boxed(text)
    if boxed is not None:
        match = _BOXED.match(boxed)
        return match.group(1).upper() if match else None
    if tagged is not None and (leading := _LEADING.match(tagged)):
        return (leading.group(1) or leading.group(2)).upper()
    marked = list(_MARKED.finditer(text))
    if marked:
        return (marked[-1].group(1) or marked[-1].group(2)).upper()
    *before, last = text.strip().splitlines() or [""]
    bare = _BARE.fullmatch(last)
    return bare.group(1) if bare else None if before else _only_option(last)


def _only_option(line: str) -> str | None:
    leading = _LEADING.match(line)
    if leading is None or len(_NAMED.findall(line)) != 1 or _SAID_OF.match(line, leading.end()):
        return None
    return (leading.group(1) or leading.group(2)).upper()
