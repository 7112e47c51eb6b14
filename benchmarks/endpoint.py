"""What the endpoint rule costs and saves: the probes' share of the training time, accuracy lost, updates saved.

    python benchmarks/endpoint.py [--rounds 5] [--measure sampled_accuracy] [--json]

The share is measured here: the lab model is trained a few times with each of two budgets, and the time inside of the
probes is divided by that of the whole call. It counts what a probe does, not what the planner thought it would.

Regret and updates saved come from the table of `titer reproduce repetition` that comes with titer. Regret is the
accuracy of the best fixed number of epochs, less that of the training which the rule ended, on as many samples: the
mean over the sizes, with its 95 % interval over seeds. Which number is best is known only afterwards, from the same
table, so regret is rather too high. Updates saved are the share of a budget of 32 epochs that was not spent.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.lab import make_lab
from titer.models import load_model
from titer.recipe import LabData, Train
from titer.records.results import Interval
from titer.reproduce import stored
from titer.reproduce.findings.repetition.arm import BATCH
from titer.reproduce.findings.repetition.claims import EPOCHS, MOST_EPOCHS, SAMPLES
from titer.reproduce.verdict import interval
from titer.train import encode_all, loop, train

BUDGETS = (64, 256)  # updates


@contextmanager
def timed_probes() -> Iterator[list[float]]:
    """Seconds of each probe made meanwhile."""
    seconds: list[float] = []
    probe = loop.token_accuracy

    def timed(*args: Any, **options: Any) -> tuple[float, float]:
        began = time.perf_counter()
        found = probe(*args, **options)
        seconds.append(time.perf_counter() - began)
        return found

    loop.token_accuracy = timed  # type: ignore[attr-defined]
    try:
        yield seconds
    finally:
        loop.token_accuracy = probe  # type: ignore[attr-defined]


def share_of_time(updates: int, seed: int) -> float:
    """Time in probes over the whole training's."""
    made = make_lab(LabData(problems={"countdown3": 300}, teachers=("convergent",), suites={}), seed=seed)
    loaded = load_model("lab")
    samples = encode_all(made.traces, loaded.tokenizer, max_length=None, too_long="stop", dropped=[])
    settings = Train(objective="nll", updates=updates, batch_size=BATCH, learning_rate=1e-3, micro_tokens=2048)
    with tempfile.TemporaryDirectory() as folder, timed_probes() as seconds:
        began = time.perf_counter()
        train(loaded.model, loaded.tokenizer, samples, settings, out=Path(folder) / "t", seed=seed, progress=False)
        return sum(seconds) / (time.perf_counter() - began)


def regret_of(table: dict[str, Any], measure: str) -> Interval:
    """Accuracy that the rule lost to the best fixed number of epochs, over sizes and seeds."""
    arms = table["arms"]
    lost = []
    for size in SAMPLES:
        fixed = [arms[f"short-{n}x{size}"][measure] for n in EPOCHS]
        best = max(fixed, key=lambda arm: arm["mean"][1])
        ended = arms[f"endpoint-{size}"][measure]["values"]
        lost.append([a - b for a, b in zip(best["values"], ended, strict=True)])
    return interval([statistics.fmean(seed) for seed in zip(*lost, strict=True)])


def updates_saved(table: dict[str, Any]) -> float:
    """Mean share of the budget of MOST_EPOCHS epochs that the rule left."""
    spent = [
        updates * BATCH / (MOST_EPOCHS * size)
        for size in SAMPLES
        for updates in table["arms"][f"endpoint-{size}"]["updates"]["values"]
    ]
    return 1 - statistics.fmean(spent)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", choices=("sampled_accuracy", "greedy_accuracy"), default="sampled_accuracy")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        table = stored("repetition")
    except InputError as fault:
        sys.exit(str(fault))
    shares = {n: [share_of_time(n, seed) for seed in range(asked.rounds)] for n in BUDGETS}
    share = max(statistics.median(found) for found in shares.values())
    regret, saved = regret_of(table, asked.measure), updates_saved(table)
    if asked.json:
        print(
            json.dumps(
                {
                    "probe_share_of_time": round(share, 4),
                    "regret": [round(end, 4) for end in regret],
                    "updates_saved": round(saved, 4),
                }
            )
        )
        return
    for updates, found in shares.items():
        print(
            f"probes in {updates} updates of {BATCH}: {statistics.median(found):.1%} of the training time, "
            f"{min(found):.1%} to {max(found):.1%} in {len(found)} rounds"
        )
    print(
        f"{asked.measure} lost to the best number of epochs: {regret.mid:+.3f} [{regret.low:+.3f}, {regret.high:+.3f}]"
    )
    print(f"updates saved of {MOST_EPOCHS} epochs: {saved:.0%}")


if __name__ == "__main__":
    main()
