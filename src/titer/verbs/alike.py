"""Whether evaluations may be held against each other: finished, of the same problems, sampled the same way.

Each of these raises InputError naming the evaluation that is not like the other.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from titer.errors import InputError, reading
from titer.evaluate.harness import RESULTS
from titer.generate.protocol import Sampling
from titer.pipeline.evaluation.judging import Asked
from titer.records import Rollout
from titer.rollouts.claim import claimed, made_file

_FINISH: Final = "let `titer eval` finish it with the same --out"


def refuse_unfinished(folder: Path, rollouts: Iterable[Rollout]) -> None:
    """`titer eval` writes its results last, and each suite of `rollouts` has as many of them as it was to have: the
    results may be those of a call for other suites."""
    if not (folder / RESULTS).exists():
        raise InputError("was not finished", file=folder, remedy=_FINISH)
    for suite, there in Counter(row.suite for row in rollouts).items():
        known = hashes_of(folder, [suite])
        wanted = len(known) * _samples(folder, suite) if known else there
        if there < wanted:
            fault = f"suite {suite!r} was not finished: {there} of {wanted} rollouts"
            raise InputError(fault, file=folder, remedy=_FINISH)


def refuse_other_problems(
    folder: Path, rollouts: Iterable[Rollout], prompts: Mapping[Asked, str], *, other: str | Path
) -> None:
    """The rollouts of `folder` are of `prompts`, those of `other`, wherever both have a problem."""
    for row in rollouts:
        if prompts.get(Asked(row.suite, row.problem_id), row.prompt) != row.prompt:
            raise InputError(
                f"problem {row.problem_id!r} of suite {row.suite!r} is another one in {other}",
                file=folder,
                remedy="evaluate all on the same problems",
            )


def refuse_changed_problems(folder: Path, hashes: Mapping[Asked, str], *, other: str | Path) -> None:
    """The problems of `folder` are those of `other`, which `hashes` says, wherever both are known: the same prompt may
    have got another answer, verifier or system prompt."""
    ours = hashes_of(folder, {asked.suite for asked in hashes})
    for asked, theirs in hashes.items():
        if ours.get(asked, theirs) != theirs:
            fault = f"problem {asked.problem_id!r} of suite {asked.suite!r} has another answer, verifier or meta"
            raise InputError(f"{fault} in {other}", file=folder, remedy="evaluate all on the same problems")


def refuse_other_sampling(folder: Path, sampling: Mapping[str, Mapping[str, Any] | None], *, other: str | Path) -> None:
    """Each suite in `folder` was sampled as that of `other`, which `sampling` says, where both are known."""
    for suite, theirs in sampling.items():
        ours = sampling_of(folder, suite)
        if ours and theirs and ours != theirs:
            differ = ", ".join(key for key in ours if ours[key] != theirs.get(key))
            raise InputError(
                f"suite {suite!r} was sampled otherwise than in {other} ({differ} differ)",
                file=folder,
                remedy="evaluate all with the same settings and seed",
            )


def sampling_of(folder: Path, suite: str) -> dict[str, Any] | None:
    """How the rollouts of a suite were sampled, where that is known."""
    return claimed(_lines_of(folder, suite)).get("sampling")


def hashes_of(folder: Path, suites: Iterable[str]) -> dict[Asked, str]:
    """The hash of each problem of the suites, where that is known."""
    found = dict[Asked, str]()
    for suite in suites:
        made = claimed(out := _lines_of(folder, suite))
        with reading(made_file(out), remedy=_FINISH):
            found |= {Asked(suite, name): str(known) for name, known in made.get("each", {}).items()}
    return found


def _lines_of(folder: Path, suite: str) -> Path:
    return folder / f"{suite}.rollouts.jsonl"


def _samples(folder: Path, suite: str) -> int:
    out = _lines_of(folder, suite)
    with reading(made_file(out), remedy=_FINISH):
        return int(claimed(out)["samples"])


def as_stored(sampling: Sampling) -> dict[str, Any]:
    """The same as it will stand beside the rollouts."""
    return {**json.loads(json.dumps(asdict(sampling)))}
