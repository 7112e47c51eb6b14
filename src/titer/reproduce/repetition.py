"""Finding C in the lab: under a fixed number of updates, many epochs over few samples (arXiv 2602.11149).

    titer reproduce repetition

The lab model, which solves about half of the problems in its own short form, learns to think in words first. Every cell
of epochs × samples is trained from the base with its own warm-up and cosine, on nested samples; a diagonal has equal
updates. Beside the grid of short traces stand a diagonal of long ones that search (where ending is part of the skill),
other learning rates at both ends of the diagonal, wrong traces, the hardest and the easiest, and trainings that the
endpoint rule ends. A seed draws the problems, the traces, the order of training, the held-out problems and the samples.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.recipe import Evaluate, Train
from titer.records import Trace
from titer.reproduce.arms import evaluate, fine_tune
from titer.reproduce.experiment import Claim, Experiment, Map, Measures, versus

if TYPE_CHECKING:
    from titer.lab.tasks import Item

TASK, MODEL, BASE = "countdown3", "lab", "base"
EPOCHS = (1, 2, 4, 8, 16, 32)
SAMPLES = (32, 64, 128, 256, 512, 1024)
BUDGET = 1024  # traces shown: the diagonal that has all six, 1×1024 to 32×32
RATES = (3e-4, 3e-3)  # tried beside the settings' own at both ends of the diagonal
BATCH = 8  # traces in one update
MOST_EPOCHS = 32  # the budget of a training that the endpoint rule may end
LONG_BRANCHES = 0.8


class Settings(NamedTuple):
    """How large the experiment is."""

    pool: int = 1024
    """Traces, of which a cell takes the first ones."""
    batch_size: int = BATCH
    """Traces in one update."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    problems: int = 150
    """Held-out problems."""
    samples: int = 2
    """Rollouts of each at temperature 1; one more is greedy."""
    held_out_traces: int = 60
    """Traces of held-out problems whose loss is measured."""
    max_tokens: int = 400
    """Longest rollout; short traces have about 80 tokens, long ones up to 350."""


class Cell(NamedTuple):
    """What an arm is trained on, and how long."""

    kind: str = "short"
    """short, long, negative (short with a wrong end), hard or easy (short, by the base's loss)."""
    epochs: int = 1
    samples: int = BUDGET
    rate: float = 1.0
    """Learning rate over that of the settings."""
    endpoint: bool = False

    @property
    def name(self) -> str:
        """The arm's name."""
        if self.endpoint:
            return f"endpoint-{self.samples}"
        rate = f"-rate{self.rate:g}" if self.rate != 1 else ""
        return f"{self.kind}-{self.epochs}x{self.samples}{rate}"


def diagonal(kind: str, epochs: Sequence[int] = EPOCHS) -> list[Cell]:
    """Cells of equal updates."""
    return [Cell(kind, n, BUDGET // n) for n in epochs]


CELLS = {
    cell.name: cell
    for cell in (
        *(Cell("short", n, size) for size in SAMPLES for n in EPOCHS),
        *diagonal("long"),
        *(cell._replace(rate=rate / 1e-3) for rate in RATES for cell in diagonal("short", (1, 8, 32))),
        *diagonal("negative", (1, 8)),
        *diagonal("hard", (8,)),
        *diagonal("easy", (8,)),
        *(Cell("short", MOST_EPOCHS, size, endpoint=True) for size in SAMPLES),
    )
}


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Train one cell (the base trains nothing) and evaluate it."""
    wanted = Settings(**settings)
    if arm == BASE:
        return score(MODEL, "short", wanted, seed, folder)
    cell = CELLS[arm]
    traces = chosen(cell, wanted, seed)
    checkpoint, token_accuracy, log = fine_tune(MODEL, traces, training(cell, wanted), seed=seed, folder=folder)
    return {
        "token_accuracy": token_accuracy or 0.0,
        "updates": len(log),
        "trained_tokens": sum(row["trained_tokens"] for row in log),
    } | score(checkpoint, cell.kind, wanted, seed, folder)


def training(cell: Cell, settings: Settings) -> Train:
    """What a cell says of the training."""
    return Train(
        objective="nll",
        epochs=cell.epochs,
        batch_size=settings.batch_size,
        learning_rate=cell.rate * settings.learning_rate,
        schedule="constant" if cell.endpoint else "cosine",
        stop="endpoint" if cell.endpoint else "budget",
        micro_tokens=2048,
        probe_samples=100,
        save_seconds=60,
    )


def chosen(cell: Cell, settings: Settings, seed: int) -> list[Trace]:
    """The cell's traces: the first of the pool, or the hardest or easiest for the base."""
    from titer.lab.tasks import items

    made = items(TASK, settings.pool, seed=seed, held=False)
    traces = [explained(item, cell.kind, seed) for item in made]
    if cell.kind in ("hard", "easy"):
        losses = base_losses(traces)
        order = sorted(range(len(traces)), key=lambda i: losses[i], reverse=cell.kind == "hard")
        traces = [traces[i] for i in order]
    return traces[: cell.samples]


def explained(item: Item, kind: str, seed: int) -> Trace:
    """A trace of one kind."""
    from titer.lab.teachers import explain

    if kind == "long":
        return explain(item, teacher="divergent", seed=seed, branch_rate=LONG_BRANCHES)
    return explain(missed(item, seed) if kind == "negative" else item, teacher="convergent", seed=seed)


def missed(item: Item, seed: int) -> Item:
    """The item with a derivation that ends elsewhere, which the teacher then calls the target."""
    from titer.lab.arithmetic import derive

    rng = random.Random(f"missed:{seed}:{item.problem.id}")
    steps = item.steps
    while str(steps[-1].result) == item.problem.answer:
        steps = derive(rng, item.problem.meta["numbers"])
    return item._replace(steps=steps)


def base_losses(traces: Sequence[Trace], model: str = MODEL) -> list[float]:
    """Mean −log p of each trace's trained tokens, in nats."""
    from titer.models import load_model
    from titer.pipeline.prior import token_sums
    from titer.train import encode_all

    loaded = load_model(model)
    samples = encode_all(traces, loaded.tokenizer, max_length=None, too_long="stop", dropped=[])
    return [one.nll / one.tokens for one in token_sums(loaded.model, loaded.tokenizer, samples, traces)]


def score(model: str, kind: str, settings: Settings, seed: int, folder: Path) -> Measures:
    """Accuracy and its parts on held-out problems, sampled and greedily, and the loss on held-out traces."""
    from titer.lab.tasks import items

    made = items(TASK, settings.problems, seed=seed, held=True)
    suites = {TASK: [item.problem for item in made]}
    ways = {
        "sampled": Evaluate(samples=settings.samples, temperature=1.0, top_p=1.0, max_tokens=settings.max_tokens),
        "greedy": Evaluate(samples=1, temperature=0.0, max_tokens=settings.max_tokens),
    }
    unseen = [explained(item, "long" if kind == "long" else "short", seed) for item in made[: settings.held_out_traces]]
    losses = base_losses(unseen, model)
    measures: Measures = {"held_out_loss": sum(losses) / len(losses)}
    for name, how in ways.items():
        (found,) = evaluate(model, suites, how, seed=seed, folder=folder / name)
        measures |= {
            f"{name}_accuracy": found.accuracy.mid,
            f"{name}_terminated": found.terminated.mid,
            f"{name}_parsed": found.parsed.mid,
            f"{name}_accuracy_given_parsed": found.accuracy.mid / found.parsed.mid if found.parsed.mid else 0.0,
            f"{name}_tokens": found.tokens.mid,
        }
    return measures


SAMPLED, GREEDY, ENDED = "sampled_accuracy", "greedy_accuracy", "sampled_terminated"
WINS = "51,200 updates, 1×51.2k → 32×1.6k: Olmo3-7B 17.2→38.8; Qwen3-8B 15.0→36.2"
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
        for kind in ("short", "long")
        for way, measure in (("sampled", SAMPLED), ("greedy", GREEDY))
    ),
    *(
        Claim(
            f"{kind} traces, equal updates: 32 epochs of 32 below 8 of 128, sampled",
            HURTS,
            SAMPLED,
            versus(f"{kind}-32x32", f"{kind}-8x128"),
            "below",
        )
        for kind in ("short", "long")
    ),
    *(
        Claim(
            f"{kind} traces: more answers end after 8 epochs of 128 than after 1 of 1,024",
            ENDS,
            ENDED,
            versus(f"{kind}-8x128", f"{kind}-1x1024"),
            "above",
        )
        for kind in ("short", "long")
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
        for way, measure in (("sampled", SAMPLED), ("greedy", GREEDY))
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
        ("Right when read, sampled", "sampled_accuracy_given_parsed"),
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
)
