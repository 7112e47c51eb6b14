"""A run's report as a real run would fill it: simulated rollouts through the real metrics and verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from titer.dynamics.verdict import judge
from titer.evaluate.compare import compare
from titer.evaluate.metrics import summarise
from titer.pipeline.evaluation.judging import axis_curves
from titer.records.results import Interval
from titer.records.schema import Decision, Rollout, Trace
from titer.report.data import (
    CurationCounts,
    DecisionChange,
    FeatureRow,
    Manifest,
    ProbeRow,
    ReadStep,
    RecipeChange,
    ReportData,
    StageRow,
    TeacherComparison,
    TracePair,
    TraceToRead,
    TrainRow,
    TwoRuns,
)
from titer.report.moves import moves
from titer.report.pick import pick_moved, pick_pairs

STEPS = (0, 10, 20, 40, 80, 160, 320)
# Suite → axis, accuracy when read per step, share of completions that end per step, mean tokens per step.
SUITES: Mapping[str, tuple[str, tuple[float, ...], tuple[float, ...], tuple[int, ...]]] = {
    "countdown": (
        "in_domain",
        (0.45, 0.47, 0.50, 0.58, 0.66, 0.72, 0.74),
        (0.97, 0.90, 0.88, 0.92, 0.95, 0.97, 0.98),
        (38, 70, 92, 88, 80, 74, 71),
    ),
    "remainders": (
        "out_of_domain",
        (0.40, 0.36, 0.34, 0.36, 0.40, 0.44, 0.46),
        (0.95, 0.70, 0.62, 0.75, 0.86, 0.92, 0.94),
        (30, 88, 104, 90, 77, 66, 61),
    ),
    "number_lines": (
        "out_of_domain",
        (0.31, 0.28, 0.27, 0.30, 0.31, 0.34, 0.35),
        (0.96, 0.72, 0.66, 0.78, 0.88, 0.93, 0.95),
        (28, 81, 99, 88, 73, 62, 58),
    ),
    "general_skills": (
        "general",
        (0.92, 0.90, 0.88, 0.90, 0.91, 0.92, 0.92),
        (1.0, 0.97, 0.95, 0.97, 0.99, 1.0, 1.0),
        (12, 14, 15, 14, 13, 13, 12),
    ),
    "declines": (
        "safety",
        (0.97, 0.93, 0.90, 0.86, 0.83, 0.80, 0.78),
        (1.0, 0.99, 0.98, 0.98, 0.99, 0.99, 0.99),
        (9, 10, 12, 13, 14, 14, 15),
    ),
}


def simulated(step: int, model: str, *, problems: int = 120, k: int = 8) -> list[Rollout]:
    """Rollouts of every suite at a step; a problem's difficulty is the same at each step."""
    rng = np.random.default_rng(step)
    place = STEPS.index(step)
    rollouts = []
    for suite, (axis, solved, ended, tokens) in SUITES.items():
        ease = np.random.default_rng(len(suite)).normal(0, 1.2, size=problems)
        centre = math.log(solved[place] / (1 - solved[place]))
        for i in range(problems):
            rate = 1 / (1 + math.exp(-(centre + ease[i])))
            for j in range(k):
                stops = bool(rng.random() < ended[place])
                right = stops and bool(rng.random() < rate)
                length = int(rng.gamma(9, tokens[place] / 9)) + 1 if stops else 256
                rollouts.append(_rollout(model, suite, axis, (i, j), right, stops, length))
    return rollouts


def _rollout(
    model: str, suite: str, axis: str, place: tuple[int, int], right: bool, stops: bool, tokens: int
) -> Rollout:
    numbers = [3 + place[0] % 7, 5 + place[0] % 11, 2 + place[0] % 5]
    target = numbers[0] * numbers[1] - numbers[2]
    said = target if right else target + 1 + place[1]
    thinking = (
        f"First try {numbers[0]} * {numbers[1]} = {numbers[0] * numbers[1]}.\n"
        f"Perhaps another way: {numbers[0]} + {numbers[1]} = {numbers[0] + numbers[1]}, too small.\n"
        f"Back to the product. {numbers[0] * numbers[1]} - {numbers[2]} = {said}."
    )
    return Rollout(
        problem_id=f"{suite}-{place[0]:04d}",
        sample=place[1],
        model=model,
        prompt=f"Use each of {numbers[0]}, {numbers[1]} and {numbers[2]} once to make {target}.",
        reasoning=thinking if stops else (thinking + "\n") * 6,
        response=f"{numbers[0]} * {numbers[1]} - {numbers[2]} = {said}" if stops else "",
        finish_reason="stop" if stops else "length",
        tokens=tokens,
        score=float(right),
        parsed=str(said) if stops else None,
        suite=suite,
        axis=axis,
    )


def _step(behaviour: str, text: str, line: int = 0) -> ReadStep:
    return ReadStep(text=text, behaviour=behaviour, line=line, dead=line > 0)


def _trace(number: int, teacher: str) -> TraceToRead:
    a, b, c = 4 + number % 5, 6 + number % 4, 1 + number % 3
    steps = [
        _step("setup", f"We need {a * b + c} from {a}, {b} and {c}, each used once.\n"),
        _step("deduce", f"The largest product of two is {a} * {b} = {a * b}, which leaves {c} to place.\n"),
        _step("recap", f"{a * b} + {c} = {a * b + c}. That is the target, with every number used."),
    ]
    wander = [
        _step("propose", f"Perhaps {a} + {b} + {c} = {a + b + c} works? No, too small.\n", 1),
        _step("propose", f"Alternatively ({a} + {c}) * {b} = {(a + c) * b}. Too large. Let me check that again.\n", 2),
        _step("backtrack", "Another idea is to subtract first, but then the product falls short.\n", 2),
    ]
    branchy = teacher == "divergent"
    trace = Trace(
        id=f"t{number}",
        problem_id=f"countdown-{number:04d}",
        prompt=f"Use each of {a}, {b} and {c} once to make {a * b + c}.",
        response=f"{a} * {b} + {c} = {a * b + c}",
        teacher=teacher,
        correct=True,
    )
    cut = "branchy: 3 of 6 steps open a branch (.50, limit .31)" if branchy and number % 2 else ""
    return TraceToRead(trace=trace, steps=[steps[0], *(wander if branchy else []), *steps[1:]], dropped=cut)


BEHAVIOURS = {
    "propose": "opens a line of attack.",
    "deduce": "moves it forward.",
    "verify": "checks it.",
    "backtrack": "gives it up.",
    "recap": "restates a result.",
    "setup": "restates the problem.",
}


def _row(name: str, a: float, b: float, half: float, *, share: bool = True, problems: int = 90) -> FeatureRow:
    low, mid, high = a - b - half, a - b, a - b + half
    text = f"what {name} is"
    return FeatureRow(
        name=name, description=text, a=a, b=b, low=low, mid=mid, high=high, share=share, problems=problems
    )


def teacher_comparison() -> TeacherComparison:
    """A branchy teacher and a straight one: clear differences both ways, unclear ones, one that nothing has."""
    shares = dict(
        zip(BEHAVIOURS, [(0.3, 0.1), (0.4, 0.6), (0.1, 0.1), (0.1, 0), (0.05, 0.1), (0.05, 0.1)], strict=True)
    )
    return TeacherComparison(
        a="lab/divergent",
        b="convergent",
        problems=90,
        shared=100,
        rows=[
            _row("steps", 31.5, 9.25, 4.0, share=False),
            *(_row(f"{name}_share", *values, 0.02) for name, values in shares.items()),
            _row("propose_to_propose", 0.25, 0.245, 0.001, problems=17),
            _row("language_switches", 0.0, 0.0, 0.0, share=False),
            _row("checks", math.nan, math.nan, math.nan, share=False, problems=0),
        ],
        transitions_a={name: dict.fromkeys(BEHAVIOURS, 1 / 6) for name in BEHAVIOURS},
        transitions_b={name: {to: float(to == name) for to in BEHAVIOURS} for name in BEHAVIOURS},
        correct_a=0.97,
        lengths=[(30.0 + n, 9.0 + n % 3) for n in range(90)],
        note="Only the first 90 of them were looked at.",
    )


def trace_pairs() -> list[TracePair]:
    """Problems as both teachers solved them; the divergent one's even trace is kept, its odd one dropped."""
    both = [(_trace(n, "divergent"), _trace(n, "convergent")) for n in range(5)]
    return [
        TracePair(problem_id=left.trace.problem_id, prompt=left.trace.prompt, left=left, right=right)
        for left, right in both
    ]


def _histograms(step: int, rng: np.random.Generator) -> dict[str, dict[str, list[float]]]:
    """Tokens and pull by kind and p: p climbs, fastest outside of steps, slowest in proposals."""
    middle = (np.arange(20) + 0.5) / 20
    tokens, pull = {}, {}
    for place, (kind, size) in enumerate(zip([*BEHAVIOURS, ""], (90, 400, 60, 40, 50, 60, 120), strict=True)):
        known = 1 - 0.75 * math.exp(-step / (90 - 12 * place))
        shape = known * middle**9 / np.sum(middle**9) + (1 - known) * (1 - middle) ** 2 / np.sum((1 - middle) ** 2)
        counts = rng.poisson(size * shape)
        tokens[kind], pull[kind] = counts.tolist(), (counts * (1 - middle)).round(3).tolist()
    return {"tokens": tokens, "pull": pull}


def _training() -> list[TrainRow]:
    rng = np.random.default_rng(7)
    rows = []
    for step in range(1, 321):
        done = step / 320
        warm = min(step / 32, 1.0)
        loss = 0.32 + 1.5 * math.exp(-step / 28) + rng.normal(0, 0.035)
        accuracy = min(0.995, 0.97 - 0.36 * math.exp(-step / 45) + rng.normal(0, 0.008))
        lr = 2e-4 * warm * 0.5 * (1 + math.cos(math.pi * done))
        rows.append(
            TrainRow(
                step=step,
                epoch=8 * done,
                loss=loss,
                token_accuracy=accuracy,
                lr=lr,
                **_histograms(step, rng),
            )
        )
    return rows


DECISIONS = (
    Decision(
        stage="measure",
        question="How strong is the base on the training tasks?",
        choice="strong: mean target probability .78",
        rule="token-weighted mean probability of the base on the kept traces; .6 and above is strong (2510.00526)",
        evidence={"mean probability": 0.7812, "interval": [0.774, 0.788], "tokens": 182_344},
        setting="measure.tokens",
    ),
    Decision(
        stage="objective",
        question="Which loss?",
        choice="−p",
        rule="strong bases gain from −p, weak ones from the log-likelihood; between .5 and .6 nobody has tested it",
        evidence={"capability": "strong", "nll on probe": 0.41, "−p on probe": 0.36},
        setting="train.objective",
    ),
    Decision(
        stage="curate",
        question="Which traces are kept?",
        choice="the 90 % that branch least",
        rule="rank by the share of steps that open a branch and drop the top tenth (2604.01702)",
        evidence={"branch share kept": 0.18, "branch share dropped": 0.52, "limit": 0.31},
        setting="curate.keep",
    ),
    Decision(
        stage="budget",
        question="How many samples, and how often?",
        choice="1,280 samples × 8 epochs",
        rule="at a fixed number of updates, repeat until token accuracy on a fixed subset reaches .96 (2602.11149)",
        evidence={"updates": 320, "token accuracy by epoch": [0.71, 0.80, 0.87, 0.92, 0.95, 0.96, 0.966, 0.968]},
        setting="train.epochs",
    ),
)


def sample_report() -> ReportData:
    models = {step: "base" if step == 0 else "trained" for step in STEPS}
    rollouts = {step: simulated(step, model) for step, model in models.items()}
    checkpoints = {step: summarise(rows, resamples=500) for step, rows in rollouts.items()}
    differences = {step: compare(rollouts[0], rollouts[step], resamples=500) for step in STEPS[1:]}
    return ReportData(
        title="quickstart: countdown with two teachers",
        headline={"model": "lab-2m", "in-domain problems": 120, "samples each": 8, "wall time": "11 min 52 s"},
        judgement=judge(axis_curves(rollouts, {})),
        moves=moves(rollouts),
        decisions=DECISIONS,
        suites=[*checkpoints[0], *checkpoints[320]],
        differences=differences[320],
        training=_training(),
        probes=[
            ProbeRow(step=s, token_accuracy=0.97 - 0.38 * math.exp(-s / 42), loss=0.30 + 1.55 * math.exp(-s / 26))
            for s in STEPS
        ],
        checkpoints=checkpoints,
        curation=CurationCounts(kept=1_843, dropped={"branchy": 205, "wrong answer": 31, "truncated": 12}),
        teachers=teacher_comparison(),
        behaviours=BEHAVIOURS,
        traces=[_trace(n, teacher) for n in range(6) for teacher in ("convergent", "divergent")],
        pairs=pick_pairs(
            rollouts[0], rollouts[320], answers={("countdown", f"countdown-{n:04d}"): "see prompt" for n in range(120)}
        ),
        manifest=Manifest(
            stages=[
                StageRow(name="measure", seconds=74.2),
                StageRow(name="curate", seconds=3.1),
                StageRow(name="train", seconds=412.0),
                StageRow(name="evaluate", seconds=223.4),
            ],
            versions={"titer": "0.1.0.dev0", "torch": "2.9.1", "transformers": "5.0.2", "python": "3.11.2"},
            seeds={"data": 0, "sampling": 17},
            device="cpu, 2 cores",
            recipe="model: lab\ntrain:\n  objective: -p\n  epochs: 8\n  lr: 2.0e-4\ncurate:\n  keep: 0.9\n",
        ),
    )


def sample_two_runs() -> TwoRuns:
    """Two runs of which B was trained longer: most got better, safety worse."""
    a, b = simulated(20, "A"), simulated(320, "B")
    moved = moves({0: a, 1: b})
    return TwoRuns(
        a="runs/first",
        b="runs/second",
        recipe=[RecipeChange("train.epochs", 1.0, 8.0), RecipeChange("curate.by", "lines", None)],
        decisions=[DecisionChange("budget", DECISIONS[3].question, DECISIONS[3], None)],
        suites=summarise([*a, *b], resamples=500),
        differences=compare(a, b, resamples=500),
        parts={"safety": {"answers look-alikes": Interval(-0.1, -0.05, 0.0)}},
        moves=moved,
        pairs=pick_moved(a, b, moved, answers={}),
        notes=["countdown was sampled otherwise (temperature 0.6 in A, 1 in B)"],
    )


def degenerate_report() -> ReportData:
    """One problem a suite, nothing parsed: every interval unknown."""
    base = [replace(r, score=0.0, parsed=None) for r in simulated(0, "base", problems=1)]
    trained = [replace(r, model="trained") for r in base]
    differences = compare(base, trained, resamples=10)
    summaries = [summarise(side, resamples=10) for side in (base, trained)]
    return ReportData(
        title="degenerate",
        judgement=judge(axis_curves({0: base, 10: trained}, {})),
        suites=[*summaries[0], *summaries[1]],
        differences=differences,
        checkpoints={0: summaries[0], 10: summaries[1]},
    )


ATTACKS = (
    "</script><script>window.pwned=1</script>",
    "<!--<script>",
    '"><img src=x onerror="window.pwned=1">',
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    '<a href="javascript:window.pwned=1">click</a>',
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029]]>\x00\x1b[31m",
    "lone \ud800 surrogate",
    "[bold red]markup[/]",
)


def _renamed(histogram: Mapping[str, Sequence[float]], attack: str) -> dict[str, Sequence[float]]:
    return {kind and kind + attack: values for kind, values in histogram.items()}


def hostile_report(sample: ReportData) -> ReportData:
    """The sample with an attack in every text that comes from a file or a model."""
    attack = " ".join(ATTACKS)
    shown = sample.traces[0]
    spoiled_trace = replace(
        shown,
        steps=[ReadStep(text=attack, behaviour=attack), ReadStep(text=attack, behaviour="propose", line=1, dead=True)],
        dropped=attack,
        trace=replace(shown.trace, problem_id=attack, prompt=attack, response=attack, teacher=attack),
    )
    pair = sample.pairs[0]
    spoiled = {"prompt": attack, "reasoning": attack, "response": attack, "model": attack, "parsed": attack}
    return replace(
        sample,
        title=attack,
        headline={attack: attack},
        moves=[
            one._replace(
                axis=one.axis + attack,
                gained=[moved._replace(prompt=attack, suite=attack, problem_id=attack) for moved in one.gained],
            )
            for one in sample.moves
        ],
        judgement=replace(
            sample.judgement,
            reason=attack,
            cost=attack,
            remedies=(attack,),
            axes=tuple(replace(v, axis=v.axis + attack, parts={attack: v.accuracy}) for v in sample.verdicts),
        ),
        decisions=[Decision(stage=attack, question=attack, choice=attack, rule=attack, evidence={attack: attack})],
        suites=[replace(s, suite=s.suite + attack, model=attack) for s in sample.suites],
        differences=[replace(d, suite=d.suite + attack, axis=d.axis + attack) for d in sample.differences],
        checkpoints={
            step: [replace(s, suite=s.suite + attack) for s in summaries]
            for step, summaries in sample.checkpoints.items()
        },
        training=[
            replace(row, tokens=_renamed(row.tokens, attack), pull=_renamed(row.pull, attack))
            for row in sample.training
        ],
        curation=CurationCounts(kept=1, dropped={attack: 1}),
        teachers=replace(
            teacher_comparison(),
            a=attack,
            b=attack,
            note=attack,
            rows=[
                replace(row, description=attack, name=attack if row.name == "checks" else row.name)
                for row in teacher_comparison().rows
            ],
            transitions_a={attack: {attack: 1.0}, "propose": {}},
        ),
        behaviours={attack: attack},
        traces=[spoiled_trace],
        trace_pairs=[TracePair(problem_id=attack, prompt=attack, left=spoiled_trace, right=spoiled_trace)],
        pairs=[
            replace(pair, base=replace(pair.base, **spoiled), trained=replace(pair.trained, **spoiled), answer=attack)
        ],
        manifest=Manifest(
            stages=[StageRow(name=attack, seconds=1.0)],
            versions={attack: attack},
            seeds={attack: 1},
            device=attack,
            recipe=attack,
        ),
    )
