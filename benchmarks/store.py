"""Large files through the store: memory that stays the same, and time per row that does.

    python benchmarks/store.py [--rollouts 100000] [--traces 1000000] [--json]

Rollouts are appended in chunks of 512, each forced to disk, as a collection writes them, and read back; traces are
written as one file and streamed back, as JSON lines and as Parquet. Each size runs in a process of its own, so that its
peak of memory is its own. `slope` is that of log time per row over log rows (0: flat); `growth` the bytes by which the
peak grows per additional row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from titer.processes import highest
from titer.records import Rollout, Trace, append_rollouts, read_rollouts, read_traces, write_records

TEXT = "First, 12 + 7 = 19. Then 19 * 3 = 57, which is too large. Let me try 12 * 7 = 84 instead. " * 3
PARTS = (0.1, 0.3, 1.0)  # of the largest size
CHUNK = 512


def rollouts(count: int) -> Iterator[Rollout]:
    """So many, of a thousand problems each time."""
    for i in range(count):
        yield Rollout(
            problem_id=f"p{i // 16}", sample=i % 16, model="m", prompt="What is 3 + 4?", reasoning=TEXT, response="7",
            finish_reason="stop", tokens=90, score=float(i % 2), parsed="7", suite="s", axis="in_domain",
        )  # fmt: skip


def traces(count: int) -> Iterator[Trace]:
    """So many, each of its own problem."""
    for i in range(count):
        yield Trace(id=f"t{i}", problem_id=f"p{i}", prompt=f"What is {i} + 4?", reasoning=TEXT, response=f"{i + 4}")


def through(kind: str, count: int, folder: Path) -> dict[str, float]:
    """Write and read; seconds of each, and rows that came back."""
    began = time.monotonic()
    if kind == "rollouts":
        file, source = folder / "r.jsonl", rollouts(count)
        while chunk := list(islice(source, CHUNK)):
            append_rollouts(file, chunk)
    else:
        file = folder / f"t.{kind}"
        write_records(file, traces(count))
    written = time.monotonic()
    read = read_rollouts if kind == "rollouts" else read_traces
    rows = sum(1 for _ in read(file))
    done = time.monotonic()
    return {"rows": rows, "write": written - began, "read": done - written, "peak": highest()}


def measured(kind: str, count: int) -> dict[str, float]:
    """`through` in a process of its own."""
    done = subprocess.run(  # noqa: S603 - this file again
        [sys.executable, __file__, "--one", kind, str(count)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


def summary(kind: str, most: int) -> dict[str, float]:
    """Slopes over the sizes."""
    found = [measured(kind, round(part * most)) for part in PARTS]
    rows = np.array([one["rows"] for one in found])
    assert list(rows) == [round(part * most) for part in PARTS]

    def slope(what: str) -> float:
        per_row = np.array([one[what] for one in found]) / rows
        return float(np.polyfit(np.log(rows), np.log(per_row), 1)[0])

    peaks = np.array([one["peak"] for one in found])
    return {
        "rows": int(rows[-1]),
        "write_slope": round(slope("write"), 3),
        "read_slope": round(slope("read"), 3),
        "peak_megabytes": round(float(peaks[-1]) / 1e6),
        "growth_bytes_per_row": round(float(np.polyfit(rows, peaks, 1)[0]), 1),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(through(asked.one[0], int(asked.one[1]), Path(folder))))
        return
    sizes = {"rollouts": asked.rollouts, "jsonl": asked.traces, "parquet": asked.traces}
    found = {kind: summary(kind, most) for kind, most in sizes.items()}
    if asked.json:
        print(json.dumps(found))
        return
    for kind, one in found.items():
        print(f"{kind:<10}" + "  ".join(f"{name} {value:,}" for name, value in one.items()))


if __name__ == "__main__":
    main()
