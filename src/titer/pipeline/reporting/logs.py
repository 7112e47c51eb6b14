"""What a training left behind, as rows of the report: its log, its probes, where its endpoint fired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from titer.errors import reading
from titer.report import (
    ProbeRow,
    TrainRow,
)
from titer.store import STAGE_AGAIN
from titer.traces.cues import BEHAVIOURS

P_BINS: Final = 20  # titer.train.watch.telemetry.BINS: a report needs no torch


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
    with reading(file, remedy=STAGE_AGAIN):
        fired = json.loads(file.read_text(encoding="utf-8"))["fired"] if file.exists() else None
    return next((probe for probe in probes if probe.step == fired), None)


def _by_kind(flat: Sequence[float]) -> dict[str, Sequence[float]]:
    """A histogram of the log by kind of step; "" is what is outside of steps, or all where no steps were labelled."""
    kinds = (*BEHAVIOURS, "") if len(flat) > P_BINS else ("",) * bool(flat)
    return {kind: flat[i * P_BINS : (i + 1) * P_BINS] for i, kind in enumerate(kinds)}


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
