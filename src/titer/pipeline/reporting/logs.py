"""What trainings left behind, as rows of the report: their logs, their probes, where their endpoint fired.

logs = logs_of(run, ["train", "rl", "train-2"])
logs.training[-1].step      # updates are counted over all of them
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.errors import reading
from titer.report import (
    ProbeRow,
    RewardRow,
    TrainRow,
)
from titer.store import STAGE_AGAIN, read_json, read_lines
from titer.store.checkpoints import kept_checkpoints
from titer.traces.cues import BEHAVIOURS

P_BINS: Final = 20  # titer.train.watch.telemetry.BINS: a report needs no torch


class Logs(NamedTuple):
    """The rows of several trainings, one after the other, and the updates of fine-tuning and of RL."""

    training: list[TrainRow]
    probes: list[ProbeRow]
    unseen: list[ProbeRow]
    endpoint: ProbeRow | None
    rewards: list[RewardRow]
    tuned: int
    reinforced: int


def logs_of(run: Path, stages: Sequence[str]) -> Logs:
    """What the stages of fine-tuning and of RL logged, in the order in which they ran."""
    logs = Logs([], [], [], None, [], 0, 0)
    for stage in stages:
        done = logs.tuned + logs.reinforced
        logs = _with_rl(logs, run / stage, done) if stage.startswith("rl") else _with_tuned(logs, run / stage, done)
    return logs


def _with_rl(logs: Logs, folder: Path, done: int) -> Logs:
    rows = reward_rows(folder / "log.jsonl")
    later = [row._replace(step=row.step + done) for row in rows]
    return logs._replace(
        rewards=logs.rewards + later, reinforced=logs.reinforced + updates_of(folder, [row.step for row in rows])
    )


def _with_tuned(logs: Logs, folder: Path, done: int) -> Logs:
    epochs = logs.training[-1].epoch if logs.training else 0.0
    rows, probes, unseen = (
        training_rows(folder / "log.jsonl"), probe_rows(folder / "probe.jsonl"), probe_rows(folder / "unseen.jsonl")
    )  # fmt: skip
    endpoint = endpoint_of(folder, probes)
    return logs._replace(
        training=logs.training + [replace(row, step=row.step + done, epoch=row.epoch + epochs) for row in rows],
        probes=logs.probes + [replace(row, step=row.step + done) for row in probes],
        unseen=logs.unseen + [replace(row, step=row.step + done) for row in unseen],
        endpoint=replace(endpoint, step=endpoint.step + done) if endpoint else logs.endpoint,
        tuned=logs.tuned + updates_of(folder, [row.step for row in rows]),
    )


def updates_of(training: Path, logged: Sequence[int] = ()) -> int:
    """Updates of a training, by its last checkpoint, or by what it logged where no checkpoint is here."""
    return max(kept_checkpoints(training), default=max(logged, default=0))


def reward_rows(file: Path) -> list[RewardRow]:
    """The updates of RL's `log.jsonl` that have a reward."""
    with reading(file, remedy=STAGE_AGAIN):
        return [RewardRow(int(row["step"]), float(row["reward"])) for row in _lines(file) if "reward" in row]


def training_rows(file: Path) -> list[TrainRow]:
    """The updates of a `log.jsonl`, with their histograms of p."""
    with reading(file, remedy=STAGE_AGAIN):
        return [
            TrainRow(
                step=int(row["step"]),
                epoch=float(row["epoch"]),
                loss=float(row["loss"]),
                token_accuracy=float(row["token_accuracy"]),
                lr=float(row["learning_rate"]),
                tokens=_by_kind(row.get("p_histogram", ())),
                pull=_by_kind(row.get("pull_histogram", ())),
            )
            for row in _lines(file)
        ]


def probe_rows(file: Path) -> list[ProbeRow]:
    """The rows of a `probe.jsonl` or an `unseen.jsonl`; none where there is no such file."""
    with reading(file, remedy=STAGE_AGAIN):
        return [
            ProbeRow(step=int(row["step"]), token_accuracy=float(row["token_accuracy"]), loss=float(row["nll"]))
            for row in _lines(file)
        ]


def endpoint_of(train: Path, probes: Sequence[ProbeRow]) -> ProbeRow | None:
    """The probe at which the endpoint rule fired; None where it did not."""
    file = train / "endpoint.json"
    fired = read_json(file, lambda row: row["fired"]) if file.exists() else None
    return next((probe for probe in probes if probe.step == fired), None)


def _by_kind(flat: Sequence[float]) -> dict[str, Sequence[float]]:
    """A histogram of the log by kind of step; "" is what is outside of steps, or all where no steps were labelled."""
    kinds = (*BEHAVIOURS, "") if len(flat) > P_BINS else ("",) * bool(flat)
    return {kind: flat[i * P_BINS : (i + 1) * P_BINS] for i, kind in enumerate(kinds)}


def _lines(file: Path) -> list[dict[str, Any]]:
    return read_lines(file) if file.exists() else []
