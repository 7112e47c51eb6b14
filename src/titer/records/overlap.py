"""Evaluation problems that are among the training prompts, word for word or but for how they are written; and traces
that are there twice.

    find_overlap(traces, problems)     # [Overlap("t7", "p3", "normalised")]
    refuse_overlap(traces, problems)   # InputError, or nothing
    find_repeats(traces)               # [(9, "t7")]: the tenth repeats t7

Two prompts are the same after normalisation where their normal form is (`titer.records.normal`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records.chat import EARLIER, question
from titer.records.normal import normalised
from titer.records.schema import Problem, Trace


class Overlap(NamedTuple):
    """A training record and the evaluation problem that has its prompt."""

    train_id: str
    eval_id: str
    kind: Literal["exact", "normalised"]


def find_overlap(train: Iterable[Problem | Trace], evaluation: Iterable[Problem]) -> list[Overlap]:
    """Every pair of a training record and an evaluation problem with one prompt, in the order of `train`.

    Streams `train`; holds the prompts of `evaluation`.
    """
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in evaluation:
        problems[normalised(question(problem))].append(problem)
    return [
        Overlap(record.id, problem.id, "exact" if question(record) == question(problem) else "normalised")
        for record in train
        for problem in problems.get(normalised(question(record)), ())
    ]


def wording(trace: Trace) -> str:
    """Equal for traces of one prompt that say the same, word for word."""
    said = (repr(trace.meta.get(EARLIER, "")), trace.prompt, trace.reasoning, trace.response)
    return blake2b(repr(said).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def find_repeats(traces: Iterable[Trace]) -> list[tuple[int, str]]:
    """Which traces say what an earlier one of the same prompt says, word for word: their places, and its id each."""
    return repeats_among((wording(trace), trace.id) for trace in traces)


def repeats_among(worded: Iterable[tuple[str, str]]) -> list[tuple[int, str]]:
    """The same, given the `wording` and the id of each trace."""
    first: dict[str, str] = {}
    found = []
    for place, (words, name) in enumerate(worded):
        if words in first:
            found.append((place, first[words]))
        else:
            first[words] = name
    return found


def without_repeats(traces: Sequence[Trace]) -> list[Trace]:
    """The traces without those that say what an earlier one of the same prompt says, word for word."""
    repeats = {place for place, _ in find_repeats(traces)}
    return [trace for place, trace in enumerate(traces) if place not in repeats]


def refuse_overlap(train: Iterable[Problem | Trace], evaluation: Iterable[Problem]) -> None:
    """Raise InputError if any evaluation problem is among the training prompts; it names the first pair."""
    found = find_overlap(train, evaluation)
    if not found:
        return
    problems = len({overlap.eval_id for overlap in found})
    first = found[0]
    raise InputError(
        f"{problems} evaluation problem{'s' * (problems > 1)} among the training prompts, "
        f"first {first.eval_id!r} = training {first.train_id!r} ({first.kind})",
        remedy="remove them from one side, or, in a run, say data.on_bad=drop: then they are not evaluated",
    )
