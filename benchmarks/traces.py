"""Reading traces: titer's one pass over many texts beside a plain `re` search per step.

    python benchmarks/traces.py [FILE] [--megabytes 60] [--json]

Both cut every trace into steps, judge each step by the same cues, and count the same shares and transitions; titer's
side also walks the step graph and counts repeated n-grams. Both read the same JSON lines on one core, in turn
(A B A B …). FILE holds traces. Without one the lab's are used, strung together to the length of a reasoning model's
trace (its own are 200 characters long, so that reading rows would be most of the time). Both are repeated up to the
size. Throughputs are those of the fastest round, since other work on a machine only slows it; the ratio is the median
of the rounds, with their range. Two processes include their start, a second or two.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from titer.records import Trace, read_traces, write_records
from titer.traces.cues import BEHAVIOURS, CUES
from titer.traces.steps import text_of
from titer.traces.stream import measure_stream

BOUNDARY = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\\$])|\n\s*\n|\n(?=[-*•]|\d+\.)")
BY_PHRASE = {cue.phrase.lower(): cue for cue in CUES}
# one alternation of all phrases: four times as fast as a search per phrase
PHRASES = re.compile(
    r"\b(?:" + "|".join(re.escape(phrase) for phrase in sorted(BY_PHRASE, key=len, reverse=True)) + ")", re.IGNORECASE
)
OPENING = 15  # characters within which a cue that opens a step must begin
LONG = 8000  # characters, about what DeepSeek-R1-Distill-32B writes for a MATH problem


def plain(text: str) -> dict[str, float]:
    """Shares of behaviours and the propose→propose transition, a step at a time."""
    steps = [step for step in BOUNDARY.split(text) if step.strip()]
    labels = [plain_label(step) for step in steps]
    count = max(1, len(steps))
    after = [b for a, b in pairwise(labels) if a == "propose"]
    shares = {name: labels.count(name) / count for name in BEHAVIOURS}
    return shares | {"propose_to_propose": after.count("propose") / max(1, len(after))}


def plain_label(step: str) -> str:
    """The behaviour that the cues of one step say most strongly."""
    scores = dict.fromkeys(BEHAVIOURS, 0.0) | {"deduce": 1.5 + 1.5 * ("=" in step), "propose": 1.5 * ("?" in step)}
    for found in PHRASES.finditer(step):
        cue = BY_PHRASE[found.group().lower()]
        if not cue.opens or found.start() < OPENING:
            scores[cue.behaviour] += cue.weight
    return max(scores, key=lambda name: scores[name])


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def strung_together(traces: list[Trace]) -> list[Trace]:
    """The traces' reasoning laid end to end, LONG characters in a trace."""
    found, parts, size = list[Trace](), list[str](), 0
    for trace in traces:
        parts.append(text_of(trace))
        size += len(parts[-1])
        if size >= LONG:
            found.append(replace(trace, reasoning="\n\n".join(parts)))
            parts, size = [], 0
    return found


def sample(traces: list[Trace], megabytes: float) -> list[Trace]:
    """The traces, repeated or cut to the size."""
    found, size, limit = list[Trace](), 0, megabytes * 1e6
    while size < limit:
        for trace in traces:
            found.append(trace)
            size += len(text_of(trace).encode())
            if size >= limit:
                break
    return found


def write_sample(traces: list[Trace], path: Path) -> None:
    """The sample as JSON lines with ids of their own."""
    write_records(path, (replace(trace, id=f"t{i}") for i, trace in enumerate(traces)))


def drain(path: Path, workers: int) -> None:
    """Measure a file from its JSON lines to rows."""
    for _ in measure_stream(read_traces(path), workers=workers):
        pass


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--megabytes", type=float, default=60.0)
    parser.add_argument("--plain-megabytes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.file:
            source = list(read_traces(args.file))
        else:
            from titer.lab import make

            make(Path(folder), problems=4000)
            source = strung_together(list(read_traces(Path(folder) / "traces.jsonl")))
        whole, part = Path(folder) / "whole.jsonl", Path(folder) / "part.jsonl"
        write_sample(sample(source, args.megabytes), whole)
        write_sample(sample(source, args.plain_megabytes), part)
        ours, theirs, both = [], [], []
        for _ in range(args.rounds):
            ours.append(args.megabytes / timed(lambda: drain(whole, 1)))
            theirs.append(args.plain_megabytes / timed(lambda: [plain(text_of(trace)) for trace in read_traces(part)]))
        both = [args.megabytes / timed(lambda: drain(whole, 2)) for _ in range(2)]
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    result = {
        "mb_per_s_per_core": round(max(ours), 1),
        "mb_per_s_per_core_range": [round(min(ours), 1), round(max(ours), 1)],
        "over_plain_re": round(statistics.median(ratios), 1),
        "over_plain_re_range": [round(ratios[0], 1), round(ratios[-1], 1)],
        "mb_per_s_two_processes": round(max(both), 1),
        "megabytes": args.megabytes,
    }
    print(json.dumps(result) if args.json else "\n".join(f"{name:24} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
