"""Finding A in the lab: traces that keep branching teach a model to wander (arXiv 2604.01702).

    titer reproduce branching

Two synthetic teachers explain the same problems. Each arm trains the lab model on one selection of their traces
and is evaluated on held-out problems of the trained tasks and of two others, the same ones in every arm of a seed.
A seed draws the problems, the traces, the order of training, the evaluation problems and the samples.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from titer.recipe import Evaluate, Train
from titer.records import Trace
from titer.records.results import SuiteSummary
from titer.reproduce.bases import base_of, tokenizer_of
from titer.reproduce.experiment import Claim, Experiment, Measures, versus
from titer.reproduce.findings.arms import evaluate, fine_tune
from titer.traces import cue_share, curate
from titer.traces.probes import delete_steps

BRANCH_RATES = (0.0, 0.2, 0.4, 0.6, 0.8)  # of the divergent teacher, drawn trace by trace: a filter has to rank


class Settings(NamedTuple):
    """How large the experiment is."""

    problems: int = 900
    """Training problems, three quarters with three numbers, the rest with four."""
    epochs: float = 2.0
    """Passes over all of them; what the arms of equal updates are trained for."""
    batch_size: int = 16
    """Traces in one update."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """As in `Train`."""
    deleted: float = 0.1
    """Share of the steps that the deletion arms lose."""
    countdown3: int = 225
    """Held-out problems of the trained task with three numbers."""
    countdown4: int = 75
    """Held-out problems of the trained task with four numbers."""
    ordered: int = 60
    """Held-out problems out of domain: the order of the numbers is given."""
    subset: int = 60
    """Held-out problems out of domain: which numbers add up."""
    samples: int = 2
    """Rollouts of each held-out problem."""
    max_tokens: int = 320
    """Longest rollout; the longest trace has 265 tokens."""
    model: str = "lab"
    """`lab`, or a pretrained model that is taught the lab's tasks first."""
    teaching: int = 0
    """Updates of that."""

    @property
    def updates(self) -> int:
        """Updates of every arm but the token-matched one."""
        return math.ceil(self.epochs * self.problems / self.batch_size)


SCALES = {"smollm2": {"model": "smollm2", "teaching": 300, "learning_rate": 1e-4, "max_tokens": 540}}
AXES = {"in_domain": ("countdown3", "countdown4"), "out_of_domain": ("ordered", "subset")}


class Lessons(NamedTuple):
    """Both teachers' traces of the same problems, in the same order."""

    convergent: list[Trace]
    divergent: list[Trace]
    settings: Settings
    seed: int


def draw_lessons(settings: Settings, seed: int) -> Lessons:
    """Problems in random order, and both teachers' traces of them."""
    from titer.lab.tasks import items
    from titer.lab.teachers import explain

    four = settings.problems // 4
    made = items("countdown3", settings.problems - four, seed=seed, held=False)
    made += items("countdown4", four, seed=seed, held=False)
    rng = random.Random(f"branching:{seed}")
    rng.shuffle(made)
    return Lessons(
        [explain(item, teacher="convergent", seed=seed) for item in made],
        [explain(item, teacher="divergent", seed=seed, branch_rate=rng.choice(BRANCH_RATES)) for item in made],
        settings,
        seed,
    )


def token_matched(lessons: Lessons) -> list[Trace]:
    """The first divergent traces that together have as many completion tokens as all convergent ones."""
    budget, chosen = sum(completion_tokens(lessons.convergent, lessons.settings)), list[Trace]()
    for trace, tokens in zip(lessons.divergent, completion_tokens(lessons.divergent, lessons.settings), strict=True):
        if budget < tokens / 2:  # nearer to the budget without it
            break
        budget -= tokens
        chosen.append(trace)
    return chosen


def completion_tokens(traces: Sequence[Trace], settings: Settings) -> list[int]:
    """Trained tokens of each trace."""
    from titer.train import encode_all

    samples = encode_all(traces, tokenizer_of(settings), max_length=None, too_long="stop", dropped=[])
    return [sample.trained for sample in samples]


def filtered(lessons: Lessons, keep: float) -> list[Trace]:
    """The least branching share of the divergent traces, by the paper's second proxy."""
    # not verified: the lab's answers are right by construction
    return curate(lessons.divergent, keep=keep, by="cue_share", verified=False, exact=True).kept


def at_random(lessons: Lessons, keep: float) -> list[Trace]:
    """As many divergent traces as `filtered` keeps, drawn at random, in their old order."""
    rng = random.Random(f"control:{keep}:{lessons.seed}")
    chosen = set(rng.sample(range(len(lessons.divergent)), len(filtered(lessons, keep))))
    return [trace for i, trace in enumerate(lessons.divergent) if i in chosen]


def shortened(traces: Sequence[Trace], lessons: Lessons) -> list[Trace]:
    """The traces without a share of their reasoning's steps."""
    rate, seed = lessons.settings.deleted, lessons.seed
    return [replace(trace, reasoning=delete_steps(trace.reasoning, rate, seed)) for trace in traces]


BASE, MATCHED = "base", "divergent-token-matched"
ARMS: dict[str, Callable[[Lessons], list[Trace]]] = {
    "convergent": lambda lessons: lessons.convergent,
    "divergent": lambda lessons: lessons.divergent,
    MATCHED: token_matched,
    "divergent-filtered-0.9": lambda lessons: filtered(lessons, 0.9),
    "divergent-random-0.9": lambda lessons: at_random(lessons, 0.9),
    "divergent-filtered-0.5": lambda lessons: filtered(lessons, 0.5),
    "divergent-random-0.5": lambda lessons: at_random(lessons, 0.5),
    "convergent-deleted": lambda lessons: shortened(lessons.convergent, lessons),
    "divergent-deleted": lambda lessons: shortened(lessons.divergent, lessons),
}


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Train one arm (the base trains nothing) and evaluate it."""
    wanted = Settings(**settings)
    if arm == BASE:
        return score(base_of(wanted, folder.parent), wanted, seed, folder)
    checkpoint, trained = train_arm(arm, draw_lessons(wanted, seed), folder)
    return trained | score(checkpoint, wanted, seed, folder)


def train_arm(arm: str, lessons: Lessons, folder: Path) -> tuple[str, Measures]:
    """The checkpoint of one arm, and how its training went."""
    settings, traces = lessons.settings, ARMS[arm](lessons)
    train = Train(
        objective="nll",
        epochs=settings.epochs,
        updates=None if arm == MATCHED else settings.updates,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        optimizer=settings.optimizer,
        micro_tokens=2048,
        probe_samples=40,
        save_seconds=20,
    )
    base = base_of(settings, folder.parent)
    checkpoint, token_accuracy, rows = fine_tune(base, traces, train, seed=lessons.seed, folder=folder)
    last = rows[-max(1, len(rows) // 10) :]
    return checkpoint, {
        "training_loss": sum(row["loss"] for row in last) / len(last),
        "token_accuracy": token_accuracy or 0.0,
        "trained_tokens": sum(row["trained_tokens"] for row in rows),
        "updates": len(rows),
        "traces": len(traces),
        "tokens_a_trace": sum(completion_tokens(traces, settings)) / len(traces),
        "cue_share": sum(cue_share(trace.reasoning) for trace in traces) / len(traces),
    }


def score(model: str, settings: Settings, seed: int, folder: Path) -> Measures:
    """Accuracy, termination and length of a model on the seed's held-out problems, per suite and per axis."""
    from titer.lab.tasks import items

    suites = {
        name: [item.problem for item in items(name, getattr(settings, name), seed=seed, held=True)]
        for names in AXES.values()
        for name in names
    }
    how = Evaluate(samples=settings.samples, max_tokens=settings.max_tokens)
    found = evaluate(model, suites, how, seed=seed, folder=folder)
    scores = {name: [suite for suite in found if suite.suite == name] for name in suites}
    scores |= {axis: [suite for suite in found if suite.suite in names] for axis, names in AXES.items()}
    return {key: value for name, part in scores.items() for key, value in pooled(name, part).items()} | {
        "ungraded": sum(len(suite.ungraded) for suite in found)
    }


def pooled(name: str, suites: Sequence[SuiteSummary]) -> Measures:
    """Rates over the problems of all the suites, each problem with the same weight."""
    problems = sum(suite.problems for suite in suites)

    def mean(values: Sequence[float]) -> float:
        return sum(value * suite.problems for value, suite in zip(values, suites, strict=True)) / problems

    return {
        f"accuracy_{name}": mean([suite.accuracy.mid for suite in suites]),
        f"terminated_{name}": mean([suite.terminated.mid for suite in suites]),
        f"tokens_{name}": mean([suite.tokens.mid for suite in suites]),
    }


IN_DOMAIN, OUT_OF_DOMAIN = "accuracy_in_domain", "accuracy_out_of_domain"
WORSE = (
    "R1 → gpt-oss data, five-benchmark average: Qwen2.5-7B 49.5→54.6, Qwen2.5-32B 71.5→76.3, "
    "Llama3.1-8B 29.5→50.5, Qwen3-8B 57.4→62.7"
)
ELSEWHERE = "generalizes worse; its benchmarks are mathematics, as its traces are"
UNMATCHED = "no figure at equal tokens"
FILTER = "keeping 90 %: up to +5.1 AIME25, +5.5 BeyondAIME, +3.6 on average"
HALF = "no figure for half: it keeps 90 %"
CONTROL = "no figure for a random control; little overlap with a length filter"


CLAIMS = (
    Claim(
        "divergent traces end at a lower training loss",
        "R1-0528 traces 0.2–0.3, gpt-oss-120b traces about 0.6",
        "training_loss",
        versus("divergent", "convergent"),
        "below",
    ),
    Claim(
        "divergent traces generalize worse in domain, at equal updates",
        WORSE,
        IN_DOMAIN,
        versus("divergent", "convergent"),
        "below",
    ),
    Claim(
        "divergent traces generalize worse in domain, at equal tokens",
        UNMATCHED,
        IN_DOMAIN,
        versus(MATCHED, "convergent"),
        "below",
    ),
    Claim(
        "divergent traces generalize worse out of domain, at equal updates",
        ELSEWHERE,
        OUT_OF_DOMAIN,
        versus("divergent", "convergent"),
        "below",
    ),
    Claim(
        "divergent traces generalize worse out of domain, at equal tokens",
        UNMATCHED,
        OUT_OF_DOMAIN,
        versus(MATCHED, "convergent"),
        "below",
    ),
    *(
        Claim(
            f"the least branching {float(keep):.0%} of the divergent traces teach more than {rest}, in domain",
            paper,
            IN_DOMAIN,
            versus(f"divergent-filtered-{keep}", other),
            "above",
        )
        for rest, keep, other, paper in (
            ("all", "0.9", "divergent", FILTER),
            ("all", "0.5", "divergent", HALF),
            ("as many at random", "0.9", "divergent-random-0.9", CONTROL),
            ("as many at random", "0.5", "divergent-random-0.5", CONTROL),
        )
    ),
    Claim(
        "deleting 10 % of the steps hurts convergent traces more than divergent ones, in domain",
        "hurts convergent data, hardly touches branchy data; no figure",
        IN_DOMAIN,
        {"convergent-deleted": 1.0, "convergent": -1.0, "divergent-deleted": -1.0, "divergent": 1.0},
        "below",
    ),
)

EXPERIMENT = Experiment(
    name="branching",
    module=__name__,
    arms=(BASE, *ARMS),
    settings=Settings()._asdict(),
    job=job,
    claims=CLAIMS,
    scales=SCALES,
)
