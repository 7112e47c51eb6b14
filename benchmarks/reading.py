"""Reading traces: megabytes per second, and how far memory grows with the file.

python benchmarks/reading.py --megabytes 1000 --format parquet
python benchmarks/reading.py --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from titer.processes import highest
from titer.records import Trace, join_thinking, read_traces, write_records

TEXT = "so wait let me check the sum again 3 + 4 = 7 and then multiply both sides by x^2 which gives"
FORMATS = ("chat.jsonl", "jsonl", "jsonl.gz", "jsonl.zst", "parquet")
WORDS = tuple(TEXT.split())


class Reading(NamedTuple):
    """One pass over a file. `growth_mb` is peak resident memory above what it was before the first row.

    Reading Parquet and zstd starts with importing pyarrow, which the growth includes. `megabytes` is the size of
    the file as it lies on the disk.
    """

    format: str
    megabytes: float
    rows: int
    seconds: float
    mb_per_s: float
    growth_mb: float


def traces(megabytes: int) -> Iterator[Trace]:
    """About so many MB of traces, each of 1 to 60 kB as long thinking is."""
    source, size = random.Random(0), 0
    while size < megabytes * 1_000_000:
        reasoning = " ".join(source.choices(WORDS, k=source.randint(300, 18_000)))
        size += len(reasoning)
        yield Trace(id=str(size), problem_id="p", prompt="What is x?", reasoning=reasoning, response="x = 7")


def write_chat(path: Path, megabytes: int) -> None:
    """The traces as most people have them: messages, with the thinking in tags."""
    with path.open("w") as file:
        for trace in traces(megabytes):
            answer = join_thinking(trace.reasoning, trace.response)
            talk = [{"role": "user", "content": trace.prompt}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"id": trace.id, "messages": talk}) + "\n")


def measure(path: Path) -> Reading:
    """Read the file once, keeping nothing."""
    before, start = highest() / 1e6, time.perf_counter()
    rows = sum(1 for _ in read_traces(path))
    seconds, megabytes = time.perf_counter() - start, path.stat().st_size / 1e6
    growth = highest() / 1e6 - before
    return Reading(path.name.partition(".")[2], megabytes, rows, seconds, megabytes / seconds, growth)


def write(path: Path, megabytes: int) -> None:
    """The benchmark's file, in the form that its name says."""
    if path.name.endswith(".chat.jsonl"):
        write_chat(path, megabytes)
    else:
        write_records(path, traces(megabytes))


def main() -> None:
    """Write the file and read it in two fresh processes: a process's peak passes on to those that it starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=64, help="text in the file, before compression")
    parser.add_argument("--format", choices=FORMATS, default="chat.jsonl")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    fresh = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as process,
    ):
        path = Path(folder) / f"traces.{options.format}"
        process.submit(write, path, options.megabytes).result()
        reading = process.submit(measure, path).result()
    if options.json:
        print(json.dumps(reading._asdict()))
    else:
        print(f"{reading.format}: {reading.megabytes:.0f} MB in {reading.seconds:.1f} s", end=" ")
        print(f"= {reading.mb_per_s:.0f} MB/s, peak memory +{reading.growth_mb:.0f} MB")


if __name__ == "__main__":
    main()
