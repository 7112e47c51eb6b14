"""Finding C in the lab: under a fixed number of updates, many epochs over few samples (arXiv 2602.11149).

    titer reproduce repetition

The lab model, which solves about half of the problems in its own short form, learns to think in words first. Every cell
of epochs × samples is trained from the base with its own warm-up and cosine, on nested samples; a diagonal has equal
updates. Beside the grid of short traces stand a diagonal of long ones that search (where ending is part of the skill),
other learning rates at both ends of the diagonal, wrong traces, the hardest and the easiest, and trainings that the
endpoint rule ends. A longer diagonal of both kinds is what the planner is held against. A seed draws the problems, the
traces, the order of training, the held-out problems and the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from titer.reproduce.experiment import Claim, Experiment, Map, Measures, versus
from titer.reproduce.findings.repetition.arm import BASE, SCALES, Cell, Settings, run_cell

KINDS = ("short", "long")
EPOCHS = (1, 2, 4, 8, 16, 32)
SAMPLES = (32, 64, 128, 256, 512, 1024)
BUDGET = 1024  # traces shown: the diagonal that has all six, 1×1024 to 32×32
RATES = (3e-4, 3e-3)  # tried beside the settings' own at both ends of the diagonal
MOST_EPOCHS = 32  # the budget of a training that the endpoint rule may end
PLANNED = 8192  # traces shown in trainings that are planned: 5 % of fewer updates are too few for the planner's trial
PLANNED_EPOCHS = {"short": EPOCHS, "long": (1, 4, 16)}  # what the plan is held against


def diagonal(kind: str, epochs: Sequence[int] = EPOCHS, *, shown: int = BUDGET) -> list[Cell]:
    """Cells of equal updates."""
    return [Cell(kind, n, shown // n) for n in epochs]


def at_rates(epochs: int) -> list[Cell]:
    """A cell of the diagonal at every learning rate that was tried, the settings' own first."""
    (cell,) = diagonal("short", (epochs,))
    return [cell, *(cell._replace(rate=rate / 1e-3) for rate in RATES)]


CELLS = {
    cell.name: cell
    for cell in (
        *(Cell("short", n, size) for size in SAMPLES for n in EPOCHS),
        *diagonal("long"),
        *(cell for epochs in (1, 8, 32) for cell in at_rates(epochs)),
        *diagonal("negative", (1, 8)),
        *diagonal("hard", (8,)),
        *diagonal("easy", (8,)),
        *(Cell("short", MOST_EPOCHS, size, endpoint=True) for size in SAMPLES),
        *(cell for kind in KINDS for cell in diagonal(kind, PLANNED_EPOCHS[kind], shown=PLANNED)),
        *(Cell(kind, 1, PLANNED, auto=True) for kind in KINDS),
    )
}


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Train and evaluate what the arm names."""
    return run_cell(None if arm == BASE else CELLS[arm], seed, settings, folder)


SAMPLED, GREEDY, ENDED = "sampled_accuracy", "greedy_accuracy", "sampled_terminated"
READ = "sampled_accuracy_given_parsed"
WAYS = (("sampled", SAMPLED), ("greedy", GREEDY))
WINS = "51,200 updates, 1×51.2k → 32×1.6k: Olmo3-7B 17.2→38.8; Qwen3-8B 15.0→36.2"
READS = "Acc|Parse; no figure here"
HURTS = "Qwen3-4B, 8×6.4k → 128×0.4k: 29.1→12.4; Olmo3-7B 36.5→38.4"
ENDS = "share of answers ended, 1×51.2k → 32×1.6k: 24 %→89 %"
NEGATIVE = "wrong traces repeat about as well as right ones; no figure here"
HARD = "hard against easy samples repeated: 33.0, 23.6 (follow-up)"
OURS = "titer's own rule; no figure"


CLAIMS = (
    *(
        Claim(
            f"{kind} traces, equal updates: 8 epochs of 128 above 1 of 1,024, {way}",
            WINS,
            measure,
            versus(f"{kind}-8x128", f"{kind}-1x1024"),
            "above",
        )
        for kind in KINDS
        for way, measure in WAYS
    ),
    *(
        Claim(
            f"{kind} traces, equal updates: 32 epochs of 32 below 8 of 128, sampled",
            HURTS,
            SAMPLED,
            versus(f"{kind}-32x32", f"{kind}-8x128"),
            "below",
        )
        for kind in KINDS
    ),
    *(
        Claim(
            f"{kind} traces: more answers end after 8 epochs of 128 than after 1 of 1,024",
            ENDS,
            ENDED,
            versus(f"{kind}-8x128", f"{kind}-1x1024"),
            "above",
        )
        for kind in KINDS
    ),
    *(
        Claim(
            f"{kind} traces: more of the parsed answers are right after 8 epochs of 128 than 1 of 1,024",
            READS,
            READ,
            versus(f"{kind}-8x128", f"{kind}-1x1024"),
            "above",
        )
        for kind in KINDS
    ),
    *(
        Claim(
            f"short traces: {epochs} epochs of {size:,} above {other} of {others:,} at its best learning rate, {way}",
            WINS,
            measure,
            {f"short-{epochs}x{size}": 1.0},
            "above",
            best_of=tuple(cell.name for cell in at_rates(other)),
        )
        for epochs, size, other, others in ((8, 128, 1, 1024), (1, 1024, 8, 128))
        for way, measure in WAYS
    ),
    Claim(
        "the loss on held-out traces rises all the while: 32 epochs of 32 above 1 of 1,024",
        "validation loss rises while accuracy does; no figure here",
        "held_out_loss",
        versus("short-32x32", "short-1x1024"),
        "above",
    ),
    Claim(
        "wrong traces, equal updates: 8 epochs of 128 above 1 of 1,024, sampled",
        NEGATIVE,
        SAMPLED,
        versus("negative-8x128", "negative-1x1024"),
        "above",
    ),
    Claim(
        "8 epochs of the hardest 128 above 8 of the easiest, sampled",
        HARD,
        SAMPLED,
        versus("hard-8x128", "easy-8x128"),
        "above",
    ),
    *(
        Claim(
            f"{size} samples: the endpoint rule not below the best number of epochs, {way}",
            OURS,
            measure,
            {f"endpoint-{size}": 1.0},
            "not below",
            best_of=tuple(f"short-{n}x{size}" for n in EPOCHS),
        )
        for size in SAMPLES
        for way, measure in WAYS
    ),
    *(
        Claim(
            f"{kind} traces, 1,024 updates: the plan not below the best number of epochs, {way}",
            OURS,
            measure,
            {f"auto-{kind}": 1.0},
            "not below",
            best_of=tuple(cell.name for cell in diagonal(kind, PLANNED_EPOCHS[kind], shown=PLANNED)),
        )
        for kind in KINDS
        for way, measure in WAYS
    ),
)

MAPS = tuple(
    Map(
        title,
        measure,
        "epochs",
        "samples",
        EPOCHS,
        SAMPLES,
        tuple(tuple(f"short-{n}x{size}" for size in SAMPLES) for n in EPOCHS),
    )
    for title, measure in (
        ("Accuracy, sampled", SAMPLED),
        ("Accuracy, greedy", GREEDY),
        ("Token accuracy", "token_accuracy"),
        ("Ended, sampled", ENDED),
        ("Right when read, sampled", READ),
        ("Loss on held-out traces", "held_out_loss"),
    )
)

EXPERIMENT = Experiment(
    name="repetition",
    module=__name__,
    arms=(BASE, *CELLS),
    settings=Settings()._asdict(),
    job=job,
    claims=CLAIMS,
    maps=MAPS,
    scales=SCALES,
)
