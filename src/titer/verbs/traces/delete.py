"""The redundancy probe of arXiv 2604.01702: traces without random steps, to train on beside the whole ones.

delete("traces.jsonl", out="deleted.jsonl", rate=0.1).share
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.records import Trace, read_traces, write_records
from titer.records.reading import OnBad
from titer.traces import delete_steps
from titer.verbs.traces.outputs import refuse_overwriting


class Deleted(NamedTuple):
    """How many traces were written, how many of them lost no step, and the share of all reasoning that is gone."""

    traces: int
    unchanged: int
    share: float
    file: Path
    dropped: list[str]  # rows that could not be read


def delete(file: str | Path, *, out: str | Path, rate: float = 0.1, seed: int = 0, on_bad: OnBad = "stop") -> Deleted:
    """Write every trace without about `rate` of its reasoning's steps; each is marked in its id and its meta.

    See `titer.traces.delete_steps`. A trace of one step, or without reasoning, stays whole. Responses, and what is
    known of their answers, stay as they are. Memory holds one trace.
    """
    if not 0 < rate <= 1:
        raise InputError(f"rate is {rate}", field="rate", remedy="give a share above 0, at most 1")
    refuse_overwriting([out], [file])
    bad = list[InputError]()
    unchanged = before = after = 0

    def deleted() -> Iterator[Trace]:
        nonlocal unchanged, before, after
        for trace in read_traces(file, on_bad=on_bad, dropped=bad):
            reasoning = delete_steps(trace.reasoning, rate, seed)
            whole = len(trace.reasoning.rstrip())
            unchanged, before, after = unchanged + (len(reasoning) >= whole), before + whole, after + len(reasoning)
            meta = {**trace.meta, "deleted_from": trace.id, "deleted_rate": rate, "deleted_seed": seed}
            yield replace(trace, id=f"{trace.id}:deleted", reasoning=reasoning, meta=meta)

    count = write_records(Path(out), deleted())
    share = 1 - after / before if before else 0.0
    return Deleted(count, unchanged, share, Path(out), [str(error) for error in bad])
