"""Where problems, traces and suites come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from titer.recipe.block import Axis, Block, FolderName, Names, PositiveShare, Share

Count = Annotated[int, Field(ge=0)]


class LabData(Block):
    """Problems, traces and suites made by titer's own lab (countdown in words, two synthetic teachers)."""

    problems: dict[str, Count] = {"countdown3": 600, "countdown4": 300}
    """Training problems to make, by lab task."""
    teachers: Annotated[tuple[Literal["convergent", "divergent"], ...], Strict(False)] = ("convergent", "divergent")
    """Which synthetic teachers explain each problem."""
    branch_rate: Share = 0.35
    """Chance that `divergent` opens a dead branch before a step."""
    rehearsal: dict[str, Count] = {}
    """Problems to rehearse, by lab task, each with the base's own way of answering."""
    suites: dict[str, Count] = {"countdown3": 100, "countdown4": 100}
    """Held-out evaluation problems to make, by lab task; each task knows its axis."""


class GymData(Block):
    """Problems and suites made by reasoning-gym, traces made for them by titer."""

    tasks: dict[str, dict[str, int | float | str | bool | Names]] = {}
    """Training tasks with their reasoning-gym settings. Traces can be made for `chain_sum`."""
    problems: Annotated[int, Field(gt=0)] = 400
    """Training problems of each task."""
    suites: dict[str, dict[str, int | float | str | bool | Names]] = {}
    """Evaluation tasks with their settings."""
    axes: dict[str, Axis] = {}
    """Axis of each suite; `in_domain` for the training tasks and `out_of_domain` otherwise."""
    evaluation: Annotated[int, Field(gt=0)] = 50
    """Evaluation problems of each suite."""


class Suite(Block):
    """A file of evaluation problems on one axis."""

    problems: str
    """Path of a problem file."""
    axis: Axis = "in_domain"
    """Which question the suite answers."""
    samples: Annotated[int, Field(gt=0)] | None = None
    """Rollouts of each problem; by default `evaluate.samples`."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """Sampling temperature; by default `evaluate.temperature`."""
    top_p: PositiveShare | None = None
    """Nucleus; by default `evaluate.top_p`."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Longest rollout; by default `evaluate.max_tokens`."""
    aggregate: Literal["avg", "pass"] = "avg"
    """What its axis counts of a problem: the share of rollouts that are right (avg@k), or whether any is (pass@k)."""


class Data(Block):
    """Where problems, traces and suites come from: files, or one of the two makers."""

    problems: str | None = None
    """Path of the training problems; may be left out when the traces carry their answers."""
    traces: str | None = None
    """Path of the teachers' traces."""
    rehearsal: str | None = None
    """Path of traces of what the model is to keep, such as its safety: mixed into the training (`curate.rehearsal`)."""
    suites: dict[FolderName, Suite] = {}
    """Evaluation suites by name; they stand beside those that a maker makes."""
    lab: LabData | None = None
    """Make everything with the lab instead."""
    gym: GymData | None = None
    """Make everything with reasoning-gym instead."""
    on_bad: Literal["stop", "drop"] = "stop"
    """What a bad row does: stop the run, or be dropped, counted and listed."""
