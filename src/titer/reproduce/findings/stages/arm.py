"""One arm of the reproduction of finding D: a budget of tokens, spent in one way, and what it is worth.

measures = run_arm("routed-bridge", 0, Settings(), folder)
"""

from __future__ import annotations

from pathlib import Path

from titer.recipe import Evaluate
from titer.records import Trace, holds_any, read_traces, without_repeats
from titer.reproduce.experiment import Measures
from titer.reproduce.findings.arms import evaluate
from titer.reproduce.findings.stages.settings import BASE, IN_DOMAIN, OUT_OF_DOMAIN, Settings
from titer.reproduce.findings.stages.spending import Arm


def run_arm(name: str, seed: int, settings: Settings, folder: Path) -> Measures:
    """Spend the budget as the arm says, and evaluate."""
    arm = Arm(seed, settings, folder)
    if name.startswith("hard-"):
        return learn_hard(arm, name.removeprefix("hard-"))
    if name == "sft":
        arm.sft(arm.traces, arm.left(), "sft")
    elif name == "rl":
        arm.rl(arm.problems, arm.left(), "rl")
    elif name == "sft-rl":
        arm.sft(arm.traces, arm.left(0.5), "sft")
        arm.rl(arm.problems, arm.left(), "rl")
    elif name != BASE:
        routed(arm, "opposite" if name == "opposite" else "bands", *(part in name for part in ("bridge", "critique")))
    arm.found |= {"sampled_tokens": arm.spent.sampled, "trained_tokens": arm.spent.trained}
    arm.found["spent"] = arm.spent.tokens / settings.budget
    return arm.found | score(arm)


def routed(arm: Arm, allocation: str, bridge: bool, critique: bool) -> None:
    """Measure, route, SFT, RL, and what there is of a bridge and a critique."""
    places = arm.route(arm.measure(), allocation)
    arm.found |= {f"to_{place}": float(len(names)) for place, names in places.items()}
    hard = places["bridge"] if bridge else set[str]()
    lesson = arm.of((places["sft"] | places["rehearsal"]) - hard)
    if hard:
        bridged = arm.bridge(arm.of(hard)) / "bridged.jsonl"
        lesson += list(read_traces(bridged)) if holds_any(bridged) else []
    arm.sft(lesson, arm.left(0.35 if critique else 0.5), "sft")
    rl = arm.rl(arm.those(places["rl"]), arm.left(0.6 if critique else 1.0), "rl")
    if critique:
        lessons = arm.critique(rl) if rl else []
        arm.sft(without_repeats([*lesson, *lessons]), arm.left(), "sft-again")


def learn_hard(arm: Arm, kind: str) -> Measures:
    """SFT on the hard traces alone, raw or as one kind of candidate, for equal updates of the same problems' traces."""
    places = arm.route(arm.measure(), "bands")
    hard = arm.of(places["bridge"])
    folder = arm.bridge(hard)
    rows = accepted(folder)
    # problems of which every kind has a candidate: the arms differ in nothing else
    shared = set.intersection(*(set(rows.get(name, {})) for name in ("pruned", "scaffold")))
    best = {trace.meta["bridged_from"]: trace for trace in read_traces(folder / "bridged.jsonl")} if shared else {}
    chosen = {"raw": {trace.id: trace for trace in hard}, "best": best, **rows}[kind]
    traces = [chosen[name] for name in sorted(shared)]
    arm.found["hard_traces"] = float(len(traces))
    arm.sft(traces, arm.settings.batch_size * 60 * arm.mean_length(traces) if traces else 0, "sft")
    problems = arm.those({trace.problem_id for trace in traces}) or arm.those(places["bridge"])
    sampled = Evaluate(samples=8, temperature=1.0, top_p=1.0, max_tokens=arm.settings.max_tokens)
    (found,) = evaluate(arm.spent.model, {"hard": problems}, sampled, seed=arm.seed, folder=arm.folder / "hard-after")
    return arm.found | {"hard_accuracy": found.accuracy.mid, "hard_pass_8": found.pass_at[8]}


def accepted(folder: Path) -> dict[str, dict[str, Trace]]:
    """The accepted candidates of a bridge by kind, then by the id of the raw trace."""
    from titer.store import read_table

    rows = [row for row in read_table(folder / "candidates.parquet") if row["accepted"]]
    traces = {trace.id: trace for trace in read_traces(folder / "candidates.jsonl")} if rows else {}
    found: dict[str, dict[str, Trace]] = {}
    for row in rows:
        found.setdefault(row["kind"], {})[row["trace_id"]] = traces[row["candidate"]]
    return found


def score(arm: Arm) -> Measures:
    """Accuracy and pass@8 on held-out problems, in the domain and outside of it."""
    from titer.lab.tasks import items

    settings = arm.settings
    sizes = {
        **dict.fromkeys(IN_DOMAIN, settings.held_out),
        **dict.fromkeys(OUT_OF_DOMAIN, settings.held_out // 2),
    }
    suites = {
        task: [item.problem for item in items(task, count, seed=arm.seed, held=True)] for task, count in sizes.items()
    }
    how = Evaluate(samples=8, temperature=1.0, top_p=1.0, max_tokens=settings.max_tokens)
    found = {
        one.suite: one for one in evaluate(arm.spent.model, suites, how, seed=arm.seed, folder=arm.folder / "score")
    }
    measures: Measures = {}
    for domain, tasks in (("in_domain", IN_DOMAIN), ("out_of_domain", OUT_OF_DOMAIN)):
        measures[f"{domain}_accuracy"] = sum(found[task].accuracy.mid for task in tasks) / len(tasks)
        measures[f"{domain}_pass_8"] = sum(found[task].pass_at[8] for task in tasks) / len(tasks)
    measures |= {f"{task}_accuracy": one.accuracy.mid for task, one in found.items()}
    return measures | {"terminated": sum(one.terminated.mid for one in found.values()) / len(found)}
