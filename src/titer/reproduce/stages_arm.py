"""One arm of the reproduction of finding D: a budget of tokens, spent in one way."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from titer.recipe import Bridge, Critique, Evaluate, Measure, Rl, Route, Train
from titer.records import (
    Problem,
    Rollout,
    Trace,
    read_problems,
    read_rollouts,
    read_traces,
    without_repeats,
    write_records,
)
from titer.reproduce.arms import evaluate, fine_tune
from titer.reproduce.bases import base_of, tokenizer_of
from titer.reproduce.experiment import Measures

if TYPE_CHECKING:
    from titer.lab.tasks import Item

BASE, STUDENT = "base", "student"
ARMS = ("sft", "rl", "sft-rl", "routed", "routed-bridge", "routed-bridge-critique", "opposite")
BRIDGES = {
    "raw": "as they are",
    "pruned": "pruned",
    "scaffold": "as scaffolds",
    "best": "as the bridge's choice",
}
REFILLED = 0.3  # groups of RL drawn in place of others, as the pilot had them
TEACHERS = ("convergent", "divergent")
IN_DOMAIN, OUT_OF_DOMAIN = ("countdown3", "countdown4"), ("ordered", "subset")


class Settings(NamedTuple):
    """How large the experiment is."""

    warm_updates: int = 150
    """Updates of the convergent teacher that make the student."""
    problems: int = 75
    """Training problems of each task."""
    branch_rate: float = 0.35
    """Chance of a dead branch before a step, in the traces of the divergent teacher: one in two."""
    budget: int = 300_000
    """Tokens through training, prompts included, and tokens sampled, together."""
    batch_size: int = 16
    """Traces in one update of SFT."""
    sft_rate: float = 3e-4
    """Peak learning rate of SFT."""
    rl_rate: float = 1e-4
    """Learning rate of RL."""
    prompts: int = 8
    """Problems in one update of RL."""
    samples: int = 8
    """Rollouts of each."""
    max_tokens: int = 160
    """Longest rollout."""
    held_out: int = 80
    """Held-out problems of each task in the domain; half as many of each outside of it."""
    prompt: int = 20
    """Tokens of a prompt, about."""
    model: str = "lab"
    """`lab`, or a pretrained model that is taught the lab's tasks first."""
    teaching: int = 0
    """Updates of that."""


SCALES = {
    "smollm2": {
        "model": "smollm2", "teaching": 300, "warm_updates": 150, "budget": 500_000, "sft_rate": 5e-5,
        "rl_rate": 5e-6, "max_tokens": 265, "prompt": 46,
    }
}  # fmt: skip


class Spent(NamedTuple):
    """The model so far, and the tokens that it has cost: sampled, and through training."""

    model: str
    sampled: int = 0
    trained: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.sampled + self.trained


class Arm:
    """An arm at work: what it learns from, and what it has spent."""

    def __init__(self, seed: int, settings: Settings, folder: Path) -> None:
        """Makes the problems and traces; the student stands beside the arm's folder."""
        from titer.lab.teachers import explain

        self.seed, self.settings, self.folder = seed, settings, folder
        made = lesson_items(settings, seed)
        self.problems = [item.problem for item in made]
        # the tasks come in turn, and within each the teachers
        self.traces = [
            explain(item, teacher=TEACHERS[i // 2 % 2], seed=seed, branch_rate=settings.branch_rate)
            for i, item in enumerate(made)
        ]
        self.spent = Spent(str(folder.parent / STUDENT / "model"))
        self.found: Measures = {}
        folder.mkdir(parents=True, exist_ok=True)
        write_records(folder / "problems.jsonl", self.problems)

    def borrowed(self, name: str) -> Path:
        """The arm's folder of that name, with the rollouts of an arm of the same seed that is done, where one has it.

        Same student, problems and seed: they are the ones that this arm would draw, and it pays for them all the same.
        """
        out = self.folder / name
        for other in sorted(self.folder.parent.glob(f"*-seed-{self.seed}")):
            if (other / "result.json").exists() and (other / name).exists() and not out.exists():
                shutil.copytree(other / name, self.folder / f"{name}.part", dirs_exist_ok=True)
                (self.folder / f"{name}.part").rename(out)
        return out

    def left(self, share: float = 1.0) -> int:
        """A share of the tokens that are left."""
        return max(0, int(share * (self.settings.budget - self.spent.tokens)))

    def pays(self, sampled: int = 0, trained: int = 0, model: str | None = None) -> None:
        """Tokens are spent, and perhaps a new model stands."""
        old = self.spent
        self.spent = Spent(model or old.model, old.sampled + sampled, old.trained + trained)

    def measure(self, name: str) -> Path:
        """Solve rates of the model as it is, on all problems, and the routing of the bands; its folder."""
        from titer import verbs

        out = self.borrowed(name)
        how = Measure(samples=16, max_tokens=self.settings.max_tokens)
        verbs.measure(self.spent.model, self.folder / "problems.jsonl", out=out, settings=how, seed=self.seed)
        self.pays(sampled=tokens_of(read_rollouts(out / "rollouts.jsonl")))
        return out

    def route(self, measured: Path, allocation: str) -> dict[str, set[str]]:
        """The ids of the problems that go to each place."""
        from titer import verbs

        out = measured.with_name(f"{measured.name}-routed")
        how = Route.model_validate({"allocation": allocation})
        verbs.route(self.folder / "problems.jsonl", measured, out=out, settings=how, seed=self.seed)
        files = {place: out / f"{place}.jsonl" for place in ("sft", "rl", "bridge", "rehearsal")}
        return {
            place: {problem.id for problem in read_problems(file)} if file.exists() else set()
            for place, file in files.items()
        }

    def bridge(
        self, hard: Sequence[Trace], name: str = "bridged", kinds: Sequence[str] = ("pruned", "scaffold")
    ) -> Path:
        """Hard traces made learnable; the folder with them and all candidates."""
        from titer import verbs

        out = self.borrowed(name)
        write_records(self.folder / f"{name}.hard.jsonl", hard)
        how = Bridge.model_validate({"kinds": list(kinds), "max_tokens": self.settings.max_tokens})
        result = verbs.bridge(
            self.spent.model,
            self.folder / f"{name}.hard.jsonl",
            self.folder / "problems.jsonl",
            out=out,
            settings=how,
            seed=self.seed,
        )
        self.pays(sampled=sum(tokens_of(read_rollouts(file)) for file in sorted((out / "rollouts").glob("*.jsonl"))))
        for kind, one in result.kinds.items():
            self.found |= {f"{kind}_{measure}": value for measure, value in one.items()}
        return out

    def sft(self, traces: Sequence[Trace], tokens: int, name: str) -> None:
        """SFT on the traces for so many tokens; nothing where there are no traces or not an update's tokens."""
        if not traces or not (updates := self.updates_of(traces, tokens)):
            return
        how = Train(
            objective="nll",
            updates=updates,
            batch_size=self.settings.batch_size,
            learning_rate=self.settings.sft_rate,
            micro_tokens=2048,
            probe_samples=0,
            save_seconds=600,
        )
        done = fine_tune(self.spent.model, traces, how, seed=self.seed, folder=self.folder / name)
        self.pays(trained=updates * self.settings.batch_size * self.mean_length(traces), model=done.checkpoint)

    def rl(self, problems: Sequence[Problem], tokens: int, name: str) -> Path | None:
        """RL on the problems for so many tokens, each rollout sampled once and trained on once; its folder."""
        from titer import verbs

        rows = self.settings.prompts * self.settings.samples
        if not problems:
            return None
        length = self.mean_rollout(problems, name)
        # each row is sampled once, refills on top, and trained on once, with its prompt
        updates = round(tokens / (rows * ((1 + REFILLED) * length + length + self.settings.prompt)))
        if not updates:
            return None
        out = self.folder / name
        write_records(self.folder / f"{name}.jsonl", problems)
        how = Rl(
            updates=updates,
            prompts=self.settings.prompts,
            samples=self.settings.samples,
            micro_rows=32,
            learning_rate=self.settings.rl_rate,
            max_tokens=self.settings.max_tokens,
            save_every=20,
            kl_every=updates - 1 or 1,
        )
        done = verbs.rl(self.spent.model, self.folder / f"{name}.jsonl", out=out, settings=how, seed=self.seed)
        rows_of_log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        sampled = int(sum(row["rollout_tokens"] for row in rows_of_log))
        trained = int(sum(rows * (row["tokens"] + self.settings.prompt) for row in rows_of_log))
        self.pays(sampled, trained, done.checkpoint)
        self.found |= {
            "rl_updates": done.updates,
            "rl_first_reward": done.first_reward,
            "rl_last_reward": done.last_reward,
            "rl_dead_groups": done.dead_groups,
            "rl_never_solved": len(done.never_solved),
            "rl_entropy_left": rows_of_log[-1]["entropy"] / max(1e-9, rows_of_log[0]["entropy"]),
            "rl_kl": next((row["kl"] for row in reversed(rows_of_log) if "kl" in row), 0.0),
        }
        return out

    def critique(self, rl: Path) -> list[Trace]:
        """Lessons of what RL never solved."""
        from titer import verbs

        never = set(json.loads((rl / "result.json").read_text(encoding="utf-8"))["never_solved"])
        failures = [one for one in read_rollouts(rl / "failures.jsonl") if one.problem_id in never] if never else []
        if not any(one.score == 0.0 and one.finish_reason == "stop" for one in failures):
            return []
        write_records(self.folder / "failures.jsonl", failures)
        write_records(self.folder / "teachers.jsonl", self.traces)
        out = self.folder / "critique"
        result = verbs.critique(
            self.spent.model,
            self.folder / "failures.jsonl",
            self.folder / "problems.jsonl",
            out=out,
            teachers=self.folder / "teachers.jsonl",
            settings=Critique(max_tokens=self.settings.max_tokens),
            seed=self.seed,
        )
        self.pays(sampled=sum(tokens_of(read_rollouts(file)) for file in sorted((out / "rollouts").glob("*.jsonl"))))
        self.found |= {f"lessons_{kind}": float(count) for kind, count in result.lessons.items()}
        return list(read_traces(out / "lessons.jsonl")) if any(result.lessons.values()) else []

    def mean_rollout(self, problems: Sequence[Problem], name: str) -> float:
        """Mean tokens of the model's rollouts, from a few of them."""
        how = Evaluate(samples=4, temperature=1.0, top_p=1.0, max_tokens=self.settings.max_tokens)
        few = {"few": problems[:16]}
        (found,) = evaluate(self.spent.model, few, how, seed=self.seed, folder=self.folder / f"{name}-length")
        self.pays(sampled=round(found.tokens.mid * found.samples))
        return found.tokens.mid

    def updates_of(self, traces: Sequence[Trace], tokens: int) -> int:
        """Updates of SFT that so many tokens are enough for."""
        return tokens // (self.settings.batch_size * self.mean_length(traces))

    def mean_length(self, traces: Sequence[Trace]) -> int:
        """Mean tokens of a trace, its prompt included."""
        from titer.train import encode

        tokenizer = tokenizer_of(self.settings)
        lengths = [len(encode(trace, tokenizer).ids) for trace in traces]
        return max(1, round(sum(lengths) / len(lengths)))

    def of(self, names: Iterable[str]) -> list[Trace]:
        """The traces of some problems."""
        wanted = set(names)
        return [trace for trace in self.traces if trace.problem_id in wanted]

    def those(self, names: Iterable[str]) -> list[Problem]:
        """Some of the problems."""
        wanted = set(names)
        return [problem for problem in self.problems if problem.id in wanted]


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
    places = arm.route(arm.measure("measured"), allocation)
    arm.found |= {f"to_{place}": float(len(names)) for place, names in places.items()}
    hard = places["bridge"] if bridge else set[str]()
    lesson = arm.of((places["sft"] | places["rehearsal"]) - hard)
    if hard:
        bridged = arm.bridge(arm.of(hard)) / "bridged.jsonl"
        lesson += list(read_traces(bridged)) if bridged.stat().st_size else []
    arm.sft(lesson, arm.left(0.35 if critique else 0.5), "sft")
    rl = arm.rl(arm.those(places["rl"]), arm.left(0.6 if critique else 1.0), "rl")
    if critique:
        lessons = arm.critique(rl) if rl else []
        arm.sft(without_repeats([*lesson, *lessons]), arm.left(), "sft-again")


def learn_hard(arm: Arm, kind: str) -> Measures:
    """SFT on the hard traces alone, raw or as one kind of candidate, for equal updates of the same problems' traces."""
    places = arm.route(arm.measure("measured"), "bands")
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


def warm_up(settings: Settings, folder: Path) -> Measures:
    """Train the student, into `folder/model`, on problems that no seed draws."""
    from titer.lab.tasks import items
    from titer.lab.teachers import explain

    # a seed of its own: the arms' seeds count from 0
    made = [item for task in IN_DOMAIN for item in items(task, settings.warm_updates * 8, seed=1000, held=False)]
    traces = [explain(item, teacher="convergent", seed=1000) for item in made]
    how = Train(
        objective="nll", updates=settings.warm_updates, batch_size=16, learning_rate=1e-3, micro_tokens=2048,
        probe_samples=0, save_seconds=600,
    )  # fmt: skip
    base = base_of(settings, folder.parent)
    done = fine_tune(base, traces, how, seed=1000, folder=folder / "warm")
    shutil.copytree(done.checkpoint, folder / "model", dirs_exist_ok=True)
    return {"updates": settings.warm_updates}


def lesson_items(settings: Settings, seed: int) -> list[Item]:
    """The problems to learn from, both tasks in turn."""
    from titer.lab.tasks import items

    by_task = [items(task, settings.problems, seed=seed, held=False) for task in IN_DOMAIN]
    return [item for row in zip(*by_task, strict=True) for item in row]


def tokens_of(rollouts: Iterable[Rollout]) -> int:
    """Tokens that were sampled for rollouts."""
    return sum(rollout.tokens for rollout in rollouts)
