"""What became of each axis over evaluated checkpoints, and whether it is time to judge.

judgement = verdict({0: "before", 640: "after"}, axes={"math500": "in_domain", "xstest": "safety"})
judgement.call, judgement.cost, judgement.axes[0].label
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from titer.dynamics import AxisCurves, Curve, Judgement, curve_of_rates, curve_of_scores, judge
from titer.dynamics.curve import variance_of
from titer.errors import InputError
from titer.evaluate.harness import HarnessScore, read_harness
from titer.pipeline.evaluation.judging import Asked, axis_curves
from titer.pipeline.reporting.gather import gather
from titer.recipe import Axis
from titer.records import Rollout, read_rollouts
from titer.store import fetched
from titer.verbs.alike import (
    hashes_of,
    refuse_changed_problems,
    refuse_other_problems,
    refuse_other_sampling,
    refuse_unfinished,
    sampling_of,
)

AXES = get_args(Axis)


def verdict(
    checkpoints: str | Path | Mapping[int, str | Path],
    *,
    axes: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
) -> Judgement:
    """Judge a run directory, at an address too, or checkpoints (update → its evaluation; 0 is the base, which must be
    there).

    An evaluation is the `out` of `eval`, or results of lm-evaluation-harness or lighteval: a results file or its
    folder. All of one kind. `axes` gives each suite's or task's axis, in_domain by default; `metrics` the metric of a
    task. A problem or task counts where every checkpoint has it.

    Raises InputError without a base or a checkpoint, for a folder that is neither, for evaluations that share nothing,
    were not finished, or differ in their problems or sampling, and for an axis or a suite that is not known.
    """
    if isinstance(checkpoints, str | Path):
        return _of_run(checkpoints)
    placed = dict(axes or {})
    for name, axis in placed.items():
        if axis not in AXES:
            raise InputError(f"{axis!r} for suite {name!r}", field="axes", remedy=f"use one of: {', '.join(AXES)}")
    if 0 not in checkpoints or len(checkpoints) < 2:
        raise InputError("no base and checkpoint to judge", field="checkpoints", remedy="give 0=BASE, 640=EVALUATION")
    found = {step: Path(path) for step, path in sorted(checkpoints.items())}
    own = [any(path.glob("*.rollouts.jsonl")) for path in found.values()]
    if all(own) and metrics:
        fault = "titer's own evaluations have one metric, and it is the accuracy"
        raise InputError(fault, field="metrics", remedy="leave it out; it is for results of a harness")
    if all(own):
        rollouts = {step: _rollouts(path, placed) for step, path in found.items()}
        _refuse_unlike(found, rollouts, placed)
        return judge(_own_curves(rollouts))
    if any(own):
        other = next(path for path, ours in zip(found.values(), own, strict=True) if not ours)
        raise InputError("is no evaluation of titer's, others are", file=other, remedy="judge one kind at a time")
    return judge(_of_harness({step: read_harness(path, metrics) for step, path in found.items()}, placed))


def _own_curves(rollouts: Mapping[int, Sequence[Rollout]]) -> dict[str, AxisCurves]:
    """The curves of titer's own evaluations. Of a suite of refusals a problem that no checkpoint clearly refused or
    answered belongs to neither half, and is left out."""
    halves = _halves(rollouts)
    split = {suite for suite, _ in halves}
    known = {
        step: [row for row in rows if row.suite not in split or Asked(row.suite, row.problem_id) in halves]
        for step, rows in rollouts.items()
    }
    return axis_curves(known, halves)


def _refuse_unlike(
    folders: Mapping[int, Path], rollouts: Mapping[int, Sequence[Rollout]], axes: Mapping[str, str]
) -> None:
    """Raise InputError where the evaluations are not of the same thing, or an axis is given for a suite none has."""
    suites = {row.suite for rows in rollouts.values() for row in rows}
    if unknown := sorted(set(axes) - suites):
        raise InputError(
            f"no evaluation has suite {unknown[0]!r}", field="axes", remedy=f"there are: {', '.join(sorted(suites))}"
        )
    for step, folder in folders.items():
        refuse_unfinished(folder, rollouts[step])
    first, *others = folders
    prompts = {Asked(row.suite, row.problem_id): row.prompt for row in rollouts[first]}
    hashes = hashes_of(folders[first], suites)
    sampling = {suite: sampling_of(folders[first], suite) for suite in sorted(suites)}
    for step in others:
        refuse_other_problems(folders[step], rollouts[step], prompts, other=folders[first])
        refuse_changed_problems(folders[step], hashes, other=folders[first])
        refuse_other_sampling(folders[step], sampling, other=folders[first])


def _of_run(place: str | Path) -> Judgement:
    folder, _ = fetched(place, reading=True)
    found = gather(folder, to_read=False).judgement
    if found is None:
        raise InputError("has no evaluation yet", file=place, remedy="finish it with `titer run`")
    return found


def _rollouts(folder: Path, axes: Mapping[str, str]) -> list[Rollout]:
    return [
        replace(rollout, axis=axes.get(rollout.suite, rollout.axis or "in_domain"))
        for file in sorted(folder.glob("*.rollouts.jsonl"))
        for rollout in read_rollouts(file)
    ]


def _halves(rollouts: Mapping[int, Sequence[Rollout]]) -> dict[tuple[str, str], str]:
    """Whether a problem on the safety axis is to be refused, from any rollout that did either and was graded."""
    found: dict[tuple[str, str], str] = {}
    for rows in rollouts.values():
        for row in rows:
            if row.axis == "safety" and row.parsed in ("declined", "answered") and row.score is not None:
                refuse = (row.parsed == "declined") == (row.score == 1.0)
                found[Asked(row.suite, row.problem_id)] = "refuse" if refuse else "answer"
    return found


class _Task(NamedTuple):
    """A task at every checkpoint."""

    scores: list[HarnessScore]

    @property
    def shared(self) -> list[str]:
        """The problems that every checkpoint has logged."""
        first, *others = (score.by_problem for score in self.scores)
        return [name for name in first if all(name in other for other in others)]


def _of_harness(found: Mapping[int, Sequence[HarnessScore]], axes: Mapping[str, str]) -> dict[str, AxisCurves]:
    """The curves of each axis: problem by problem where every task of it has its samples, else from scores."""
    by_task = [{score.task: score for score in scores} for scores in found.values()]
    names = [name for name in by_task[0] if all(name in at for at in by_task)]
    if not names:
        raise InputError("the results share no task", field="checkpoints", remedy="evaluate all on the same tasks")
    if unknown := sorted(set(axes) - set(names)):
        raise InputError(f"no shared task {unknown[0]!r}", field="axes", remedy=f"there are: {', '.join(names)}")
    tasks: dict[str, list[_Task]] = {}
    for name in names:
        tasks.setdefault(axes.get(name, "in_domain"), []).append(_Task([at[name] for at in by_task]))
    return {axis: AxisCurves(_paired(list(found), some) or _pooled(list(found), some)) for axis, some in tasks.items()}


def _paired(steps: Sequence[int], tasks: Sequence[_Task]) -> Curve | None:
    if not all(task.shared for task in tasks):
        return None
    return curve_of_rates(steps, np.concatenate([_rows(task) for task in tasks]))


def _rows(task: _Task) -> NDArray[np.float64]:
    """The scores of each shared problem at every checkpoint. Raises InputError where they are no accuracy."""
    rows = np.array([[score.by_problem[name] for score in task.scores] for name in task.shared])
    if rows.min() < 0 or rows.max() > 1:
        raise InputError(
            f"samples of {task.scores[0].task!r} are not in [0, 1]",
            field="metrics",
            remedy="name an accuracy: --metric TASK=METRIC",
        )
    return rows


def _pooled(steps: Sequence[int], tasks: Sequence[_Task]) -> Curve:
    """The mean of the tasks' scores, each weighted by its problems, and the error of that."""
    sizes = [max((_size(score) for score in task.scores), default=1) for task in tasks]
    total = sum(sizes)
    values = [[score.value for score in task.scores] for task in tasks]
    errors = [[_error(score, size) for score in task.scores] for task, size in zip(tasks, sizes, strict=True)]
    share = np.array(sizes) / total
    return curve_of_scores(
        steps,
        (share @ np.array(values)).tolist(),
        problems=total,
        errors=np.sqrt(share**2 @ np.square(np.array(errors))).tolist(),
    )


def _size(score: HarnessScore) -> int:
    """Problems of a task; from the standard error of a share where they are not told."""
    if score.problems or not score.error > 0:
        return score.problems or 1
    return max(2, round(score.value * (1 - score.value) / score.error**2))


def _error(score: HarnessScore, size: int) -> float:
    return score.error if score.error > 0 else math.sqrt(max(0.0, variance_of(score.value, size)))
