from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from titer.records import Trace
from titer.traces import FEATURES, measure_texts, stream
from titer.traces.stream import measure_stream

TRACES = [
    Trace(
        id=f"t{i}",
        problem_id=f"p{i % 5}",
        prompt="?",
        reasoning="Perhaps. " * (i % 4) + "So 1 = 1. \ud800" * (i % 3),
        response="It is 1.",
        teacher="T" * (i % 2),
        correct=(None, True, False)[i % 3],
    )
    for i in range(60)
]


def rows(workers: int | None) -> list[stream.Row]:
    """Rows whose nan is None, so that they can be compared."""
    found = [row for batch in measure_stream(TRACES, workers=workers) for row in batch]
    return [{key: None if value != value else value for key, value in row.items()} for row in found]


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BATCH", 100)  # many batches
    alone = rows(0)
    assert alone == rows(1) == rows(2)
    assert [row["id"] for row in alone] == [trace.id for trace in TRACES]
    table = measure_texts([trace.reasoning or trace.response for trace in TRACES])
    for i, (trace, row) in enumerate(zip(TRACES, alone, strict=True)):
        assert (row["problem_id"], row["teacher"], row["correct"]) == (trace.problem_id, trace.teacher, trace.correct)
        assert [row[name] for name in FEATURES] == [
            None if math.isnan(table[name][i]) else table[name][i] for name in FEATURES
        ]


def test_reads_no_further_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BATCH", 1)
    read = list[str]()

    def traces() -> Iterator[Trace]:
        for trace in TRACES:
            read.append(trace.id)
            yield trace

    found = measure_stream(traces(), workers=0)
    assert [row["id"] for row in next(found)] == ["t0"] == read


def test_nothing_gives_nothing() -> None:
    assert list(measure_stream([], workers=0)) == list(measure_stream([], workers=2)) == []
