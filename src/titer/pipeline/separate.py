"""What must not be shared: prompts by training and evaluation or by two suites, ids by traces and rehearsal.

suites = without_overlap(suites, train, dropped)
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from titer.errors import InputError
from titer.lab.make import MadeSuite
from titer.records import Problem, Trace, normalised, question


def without_overlap(
    suites: Mapping[str, MadeSuite], train: Sequence[Problem | Trace], dropped: list[InputError]
) -> dict[str, MadeSuite]:
    """The suites without problems that training shows, or that an earlier suite has; `dropped` gets a line of each."""
    seen = {normalised(question(record)): f"training has {record.id!r}" for record in train}
    kept: dict[str, MadeSuite] = {}
    for name, suite in suites.items():
        here: dict[str, str] = {}
        rest = []
        for problem in suite.problems:
            prompt = normalised(question(problem))
            if prompt in seen:
                fault = f"problem {problem.id!r} of suite {name!r}: {seen[prompt]}, with the same prompt"
                dropped.append(InputError(fault, field="data.suites", remedy="it is left out of the evaluation"))
            else:
                rest.append(problem)
                here[prompt] = f"suite {name!r} has {problem.id!r}"
        if not rest:
            raise InputError(
                f"no problem of suite {name!r} is left", field="data.suites", remedy="all are in training or elsewhere"
            )
        seen |= here
        kept[name] = suite._replace(problems=rest)
    return kept


def with_own_ids(rehearsal: Sequence[Trace], taken: Container[str]) -> list[Trace]:
    """The same under ids that are not taken: two files that number their rows share them all."""

    def free(name: str) -> str:
        return free(f"rehearsal-{name}") if name in taken else name

    return [replace(trace, id=free(trace.id)) for trace in rehearsal]


def refuse_shared(suites: Mapping[str, MadeSuite]) -> None:
    """Raise InputError where two suites ask the same: an axis would count it twice, or two axes share it."""
    seen: dict[str, tuple[str, str]] = {}
    for name, suite in suites.items():
        for problem in suite.problems:
            other, first = seen.setdefault(normalised(question(problem)), (name, problem.id))
            if other != name:
                raise InputError(
                    f"problem {problem.id!r} of suite {name!r} is {first!r} of suite {other!r}",
                    field="data.suites",
                    remedy="remove it from one, or say data.on_bad=drop",
                )
