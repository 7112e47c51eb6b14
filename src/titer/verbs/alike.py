"""Whether evaluations may be held against each other: finished, of the same problems, sampled the same way.

Each of these raises InputError naming the evaluation that is not like the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.generate.protocol import Sampling
from titer.pipeline.evaluation.judging import Asked
from titer.records import Rollout
from titer.rollouts.claim import claimed


def refuse_unfinished(folder: Path) -> None:
    """`titer eval` writes its results last."""
    if not (folder / "results_titer.json").exists():
        raise InputError("was not finished", file=folder, remedy="let `titer eval` finish it with the same --out")


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
    return claimed(folder / f"{suite}.rollouts.jsonl").get("sampling")


def written(sampling: Sampling) -> dict[str, Any]:
    """The same as it will stand beside the rollouts."""
    return {**json.loads(json.dumps(asdict(sampling)))}
