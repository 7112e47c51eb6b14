"""What one cell of the repetition grid is: traces of a kind, how often they are shown, and how it is scored.

measures = run_cell(Cell("short", 8, 128), 0, Settings()._asdict(), folder)
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.recipe import Data, Evaluate, Plan, Recipe, Train
from titer.records import Trace
from titer.reproduce.bases import LAB, base_of
from titer.reproduce.experiment import Measures
from titer.reproduce.findings.arms import evaluate, fine_tune

if TYPE_CHECKING:
    from titer.lab.tasks import Item

TASK, BASE = "countdown3", "base"
BATCH = 8  # traces in one update
LONG_BRANCHES = 0.8
LEVEL_RATE = 0.5  # learning rate of a constant schedule over a cosine's peak: at the same it ends too hot (LOG)
RANKED = 1024  # traces that the hardest and the easiest are picked from


class Settings(NamedTuple):
    """How large the experiment is."""

    pool: int = 8192
    """Most traces of any cell."""
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
    max_tokens: int = 200
    """Longest rollout; short traces have about 80 tokens."""
    longer: int = 2
    """How many times as long a rollout may be after long traces, which have up to 350."""
    model: str = "lab"
    """`lab`, or a pretrained model that is taught the lab's tasks first."""
    teaching: int = 0
    """Updates of that."""


SCALES = {"smollm2": {"model": "smollm2", "teaching": 300, "learning_rate": 1e-4, "max_tokens": 340}}


class Cell(NamedTuple):
    """What an arm is trained on, and how long."""

    kind: str = "short"
    """short, long, negative (short with a wrong end), hard or easy (short, by the base's loss)."""
    epochs: int = 1
    samples: int = RANKED
    rate: float = 1.0
    """Learning rate over that of the settings."""
    endpoint: bool = False
    """Ended by the endpoint rule, after `epochs` at the latest."""
    auto: bool = False
    """So many epochs of so many samples as the planner says, in the updates that `epochs` of `samples` take."""

    @property
    def name(self) -> str:
        """The arm's name."""
        if self.endpoint:
            return f"endpoint-{self.samples}"
        if self.auto:
            return f"auto-{self.kind}"
        rate = f"-rate{self.rate:g}" if self.rate != 1 else ""
        return f"{self.kind}-{self.epochs}x{self.samples}{rate}"


def run_cell(cell: Cell | None, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Train one cell (None is the base: trains nothing) and evaluate it."""
    wanted = Settings(**settings)
    base = base_of(wanted, folder.parent)
    if cell is None:
        return score(base, "short", wanted, seed, folder)
    traces, how, planned = chosen(cell, wanted, seed, base), training(cell, wanted), Measures()
    if cell.auto:
        traces, how, planned = plan(cell, base, traces, how, wanted, seed, folder / "plan")
    checkpoint, token_accuracy, log = fine_tune(base, traces, how, seed=seed, folder=folder)
    trained = {
        "token_accuracy": token_accuracy or 0.0,
        "updates": len(log),
        "trained_tokens": sum(row["trained_tokens"] for row in log),
    }
    return planned | trained | score(checkpoint, cell.kind, wanted, seed, folder)


def plan(
    cell: Cell, base: str, traces: Sequence[Trace], how: Train, settings: Settings, seed: int, work: Path
) -> tuple[list[Trace], Train, Measures]:
    """What `train.repetition: auto` makes of the cell's updates: the traces, the training, how often each is shown."""
    from titer.lab.tasks import items
    from titer.models import load_model
    from titer.pipeline.training.plan import planned, pooled
    from titer.pipeline.training.repetition import Held
    from titer.pipeline.training.trial import held_out

    updates = cell.epochs * len(traces) // settings.batch_size
    auto = how.model_copy(update={"updates": updates, "repetition": "auto"})
    trial = Plan(problems=settings.problems, samples=settings.samples)
    problems = [item.problem for item in items(TASK, len(traces), seed=seed, held=False)]
    recipe = Recipe(model=base, seed=seed, data=Data(), plan=trial, evaluate=sampled(cell.kind, settings))
    held = Held(recipe, held_out(problems, traces, trial.problems, seed))
    pool, _ = pooled(load_model(base), traces, auto)
    found = planned(pool, auto, base, work=work, seed=seed, plan=trial, held=held)
    times = found.repetition.times if found.repetition else 1.0
    return found.picked.traces, found.settings, {"times": times, "samples": len(found.picked.traces)}


def training(cell: Cell, settings: Settings) -> Train:
    """What a cell says of the training."""
    return Train(
        objective="nll",
        epochs=cell.epochs,
        batch_size=settings.batch_size,
        learning_rate=cell.rate * settings.learning_rate * (LEVEL_RATE if cell.endpoint else 1),
        schedule="constant" if cell.endpoint else "cosine",
        stop="endpoint" if cell.endpoint else "budget",
        micro_tokens=2048,
        probe_samples=100,
        save_seconds=60,
    )


def chosen(cell: Cell, settings: Settings, seed: int, base: str = LAB) -> list[Trace]:
    """The cell's traces: the first of the pool, or the hardest or easiest for the base."""
    from titer.lab.tasks import items

    ranked = cell.kind in ("hard", "easy")
    made = items(TASK, min(settings.pool, RANKED if ranked else cell.samples), seed=seed, held=False)
    traces = [explained(item, cell.kind, seed) for item in made]
    if ranked:
        losses = losses_under(base, traces)
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


def losses_under(model: str, traces: Sequence[Trace]) -> list[float]:
    """Mean −log p of each trace's trained tokens, in nats."""
    from titer.models import load_model
    from titer.pipeline.training.pick import losses_of
    from titer.pipeline.training.plan import pooled

    pool, _ = pooled(load_model(model), traces, Train(too_long="stop"))
    losses = losses_of(pool)
    return [losses[trace.id] for trace in traces]


def score(model: str, kind: str, settings: Settings, seed: int, folder: Path) -> Measures:
    """Accuracy and its parts on held-out problems, sampled and greedily, and the loss on held-out traces."""
    from titer.lab.tasks import items

    made = items(TASK, settings.problems, seed=seed, held=True)
    suites = {TASK: [item.problem for item in made]}
    at_random = sampled(kind, settings)
    ways = {"sampled": at_random, "greedy": at_random.model_copy(update={"samples": 1, "temperature": 0.0})}
    unseen = [explained(item, "long" if kind == "long" else "short", seed) for item in made[: settings.held_out_traces]]
    losses = losses_under(model, unseen)
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


def sampled(kind: str, settings: Settings) -> Evaluate:
    """How rollouts are drawn after traces of a kind."""
    longest = settings.max_tokens * (settings.longer if kind == "long" else 1)
    return Evaluate(samples=settings.samples, temperature=1.0, top_p=1.0, max_tokens=longest)
