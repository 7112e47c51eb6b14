"""Finding E in the lab: where the model is strong −p beats −log p, where it is weak it does not (arXiv 2510.00526).

    titer reproduce continuum

Three students of one architecture are pre-trained for the same updates, with much, a little or none of the task among
their documents. Each is fine-tuned on worked solutions of which a share of the numbers is wrong, with every objective
on the same samples in the same order, and evaluated on held-out problems, sampled and greedily. A seed draws the
problems, the wrong numbers, the order of training, the evaluation problems and the samples; the students are shared
by all seeds. `auto` is what `titer run` does: the prior, and a trial where that cannot say.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.recipe import Data, Evaluate, Recipe, Train
from titer.records import Problem, Trace
from titer.reproduce.bases import phase_of, start_of
from titer.reproduce.experiment import Claim, Experiment, Measures, versus
from titer.reproduce.findings.arms import evaluate, fine_tune

if TYPE_CHECKING:
    from titer.lab.tasks import Item

TASK = "countdown3"
RELATIVES = ("countdown4", "ordered", "subset")  # searches too: what a student learns of them it knows of the task
STRENGTHS = {"strong": 0.8, "middling": 0.1, "weak": 0.0}  # share of the task among the documents of pre-training
NOISE = (0, 10, 30)  # percent of the numbers
OBJECTIVES = {"nll": "nll", "p": "p", "power10": "power:10", "threshold": "nll@p>=0.2", "auto": "auto"}
BASE = "base"
ARMS = tuple(f"{strength}-{noise}-{name}" for strength in STRENGTHS for noise in NOISE for name in OBJECTIVES)
LARGEST_WRONG = 100


class Settings(NamedTuple):
    """How large the experiment is."""

    pretraining: int = 250
    """Updates of 128 documents that make a student."""
    careless: float = 0.2
    """Share of the task's documents in pre-training that miss the target."""
    updates: int = 120
    """Updates of fine-tuning."""
    batch_size: int = 16
    """Traces in one update; none is seen twice."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    problems: int = 200
    """Held-out problems."""
    samples: int = 4
    """Rollouts of each at temperature 1; one more is greedy."""
    max_tokens: int = 48
    """Longest rollout; a solution has about 25 tokens."""
    model: str = "lab"
    """`lab`, or a pretrained model that becomes the students, in place of weights drawn at random."""


SCALES = {"smollm2": {"model": "smollm2", "learning_rate": 1e-4, "max_tokens": 80}}


def prepare(strength: str, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Pre-train one student, into `folder/student`."""
    from titer.lab.build import build

    wanted = Settings(**settings)
    phase, shares = phase_of(wanted.model, wanted.pretraining, wanted.careless), mixture(STRENGTHS[strength])
    build(folder / "student", start=start_of(wanted.model), phases=(phase,), mixture=shares, progress=False)
    return {"share_of_the_task": STRENGTHS[strength], "updates": wanted.pretraining}


def mixture(share: float) -> dict[str, float]:
    """The lab's mixture of documents with `share` of the task, none of its relatives, and the rest as it is."""
    from titer.lab.build import MIXTURE

    rest = {name: weight for name, weight in MIXTURE.items() if name not in (TASK, *RELATIVES)}
    whole = sum(rest.values())
    return ({TASK: share} if share else {}) | {name: (1 - share) * weight / whole for name, weight in rest.items()}


def job(arm: str, seed: int, settings: Mapping[str, Any], folder: Path) -> Measures:
    """Fine-tune a student as the arm says (a base is left as it is), and evaluate it."""
    strength, *how = arm.split("-")
    wanted, student = Settings(**settings), folder.parent / strength / "student"
    if how == [BASE]:
        return score(str(student), wanted, seed, folder)
    noise, objective = int(how[0]), OBJECTIVES[how[1]]
    problems, traces = lesson(wanted, noise / 100, seed)
    found: Measures = {}
    if objective == "auto":
        objective, found = choose(student, problems, traces, wanted, seed, folder)
    checkpoint, _, log = fine_tune(str(student), traces, training(objective, wanted), seed=seed, folder=folder)
    found["mean_weight"] = sum(row["effective_tokens"] for row in log) / sum(row["trained_tokens"] for row in log)
    return found | score(checkpoint, wanted, seed, folder)


def lesson(settings: Settings, noise: float, seed: int) -> tuple[list[Problem], list[Trace]]:
    """Training problems and their solutions, a share `noise` of whose numbers is wrong."""
    from titer.lab.tasks import items

    made = items(TASK, settings.updates * settings.batch_size, seed=seed, held=False)
    rng = random.Random(f"noise:{seed}")
    return [item.problem for item in made], [corrupt(solution(item), noise, rng) for item in made]


def solution(item: Item) -> Trace:
    """The item's short solution, in the form that pre-training has it in."""
    problem = item.problem
    return Trace(
        id=f"{problem.id}:short", problem_id=problem.id, prompt=problem.prompt, response=item.solution, domain=TASK
    )


def corrupt(trace: Trace, share: float, rng: random.Random) -> Trace:
    """The trace with each number of its response wrong at a chance of `share`."""

    def number(found: re.Match[str]) -> str:
        # both draws for every number, so that what is wrong at 10 % is wrong at 30 % too, in the same way
        wrong, other = rng.random() < share, rng.randrange(1, LARGEST_WRONG)
        return str(other + (other >= int(found[0]))) if wrong else found[0]

    return replace(trace, response=re.sub(r"\d+", number, trace.response))


def choose(
    student: Path, problems: Sequence[Problem], traces: Sequence[Trace], settings: Settings, seed: int, folder: Path
) -> tuple[str, Measures]:
    """The objective that a run would choose, and what it measured for that."""
    from titer.pipeline.data import Inputs
    from titer.pipeline.training.choose import choose_objective, chosen
    from titer.store import read_table

    recipe = Recipe(
        model=str(student), seed=seed, data=Data(), train=training("auto", settings), evaluate=sampled(settings)
    )
    work = folder / "choose"
    if not (work / "choice.json").exists():
        shutil.rmtree(work, ignore_errors=True)  # half a trial
        work.mkdir(parents=True)
        choose_objective(recipe, Inputs(list(problems), list(traces), []), traces, work, lambda _: None)
    objective, sums = chosen(work), read_table(work / "prior.parquet")
    tokens = sum(row["tokens"] for row in sums)
    return objective, {
        "prior": sum(row["p"] for row in sums) / tokens,
        "likely": sum(row["likely"] for row in sums) / tokens,
        "chose_p": float(objective == "p"),
        "tried": float((work / "trial").exists()),
    }


def training(objective: str, settings: Settings) -> Train:
    """What every arm shares but its objective."""
    return Train(
        objective=objective,
        updates=settings.updates,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        betas=(0.9, 0.95),
        micro_tokens=2048,
        probe_samples=0,
        save_seconds=600,
    )


def sampled(settings: Settings) -> Evaluate:
    """Samples of the model's own distribution, as the paper takes them."""
    return Evaluate(samples=settings.samples, temperature=1.0, top_p=1.0, max_tokens=settings.max_tokens)


def score(model: str, settings: Settings, seed: int, folder: Path) -> Measures:
    """Accuracy of a model on the seed's held-out problems, sampled and greedily."""
    from titer.lab.tasks import items

    suites = {TASK: [item.problem for item in items(TASK, settings.problems, seed=seed, held=True)]}
    ways = {
        "sampled": sampled(settings),
        "greedy": Evaluate(samples=1, temperature=0.0, max_tokens=settings.max_tokens),
    }
    measures: Measures = {}
    for name, how in ways.items():
        (found,) = evaluate(model, suites, how, seed=seed, folder=folder / name)
        measures |= {f"{name}_accuracy": found.accuracy.mid, f"{name}_parsed": found.parsed.mid}
    return measures


SAMPLED, GREEDY = "sampled_accuracy", "greedy_accuracy"
AHEAD = "average of five mathematics sets, −log p → −p: Qwen2.5-Math-1.5B 17.00→32.75, Llama-3.1-8B 6.49→10.56"
THRESHOLD = "the same sets, −log p → −log p·1[p≥.2]: Qwen2.5-Math-1.5B 17.00→32.04, Llama-3.1-8B 6.49→10.33"
BEHIND = "figlet fonts, exact match, Qwen2.5-7B: −log p 35.2, −p 0"
CROSSING = "mean p .76–.81: −p ahead; .50–.59: a tie; .01–.07: −log p ahead"
NO_FIGURE = "no figure"
OURS = "titer's own chooser; no figure"


def over(strength: str, noise: int, name: str) -> dict[str, float]:
    """The contrast of an objective and −log p for one student and one noise."""
    return versus(f"{strength}-{noise}-{name}", f"{strength}-{noise}-nll")


def crossing(noise: int) -> dict[str, float]:
    """How much more −p gains over −log p in the strong student than in the weak one."""
    weak = {arm: -weight for arm, weight in over("weak", noise, "p").items()}
    return over("strong", noise, "p") | weak


WAYS = {"sampled": SAMPLED, "greedy": GREEDY}
CASES = tuple((noise, way, measure) for noise in NOISE for way, measure in WAYS.items())

CLAIMS = (
    *(
        Claim(
            f"strong student, {noise} % wrong numbers: −p above −log p, {way}",
            AHEAD,
            measure,
            over("strong", noise, "p"),
            "above",
        )
        for noise, way, measure in CASES
    ),
    *(
        Claim(
            f"weak student, {noise} % wrong numbers: −p below −log p, {way}",
            BEHIND,
            measure,
            over("weak", noise, "p"),
            "below",
        )
        for noise, way, measure in CASES
    ),
    *(
        Claim(
            f"−p gains more over −log p in the strong student than in the weak one, {noise} % wrong numbers, {way}",
            CROSSING,
            measure,
            crossing(noise),
            "above",
        )
        for noise, way, measure in CASES
    ),
    *(
        Claim(
            f"strong student, {noise} % wrong numbers: {spoken} above −log p, {way}",
            paper,
            measure,
            over("strong", noise, name),
            "above",
        )
        for name, spoken, paper in (
            ("threshold", "−log p·1[p≥.2]", THRESHOLD),
            ("power10", "(1 − p¹⁰)/10", NO_FIGURE),
        )
        for noise, way, measure in CASES
    ),
    *(
        Claim(
            f"{strength} student, {noise} % wrong numbers: auto not below the better of −log p and −p, {way}",
            OURS,
            measure,
            {f"{strength}-{noise}-auto": 1.0},
            "not below",
            best_of=(f"{strength}-{noise}-nll", f"{strength}-{noise}-p"),
        )
        for strength in STRENGTHS
        for noise, way, measure in CASES
    ),
)

EXPERIMENT = Experiment(
    name="continuum",
    module=__name__,
    arms=(*(f"{strength}-{BASE}" for strength in STRENGTHS), *ARMS),
    settings=Settings()._asdict(),
    job=job,
    claims=CLAIMS,
    shared=tuple(STRENGTHS),
    prepare=prepare,
    scales=SCALES,
)
