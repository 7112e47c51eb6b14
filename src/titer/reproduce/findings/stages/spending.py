"""What an arm may spend its tokens on: measuring, routing, the bridge, SFT, RL and critique.

arm = Arm(0, Settings(), folder)
arm.sft(arm.traces, arm.left(0.5), "sft")     # arm.spent: the new model, and what it has cost
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from titer.recipe import Bridge, Critique, Evaluate, Measure, Rl, Route, Train
from titer.records import Problem, Rollout, Trace, read_problems, read_rollouts, read_traces, write_records
from titer.reproduce.bases import tokenizer_of
from titer.reproduce.experiment import Measures
from titer.reproduce.findings.arms import evaluate, fine_tune
from titer.reproduce.findings.stages.settings import IN_DOMAIN, STUDENT, Settings
from titer.store import read_lines

if TYPE_CHECKING:
    from titer.lab.tasks import Item

REFILLED = 0.3  # groups of RL drawn in place of others, as the pilot had them


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
        from titer.lab.teachers import TEACHERS, explain

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

    def measure(self) -> Path:
        """Solve rates of the model as it is, on all problems, and the routing of the bands; its folder."""
        from titer import verbs

        out = self.borrowed("measured")
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

    def bridge(self, hard: Sequence[Trace]) -> Path:
        """Hard traces made learnable; the folder with them and all candidates."""
        from titer import verbs

        out = self.borrowed("bridged")
        write_records(self.folder / "bridged.hard.jsonl", hard)
        how = Bridge.model_validate({"kinds": ["pruned", "scaffold"], "max_tokens": self.settings.max_tokens})
        result = verbs.bridge(
            self.spent.model,
            self.folder / "bridged.hard.jsonl",
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
        rows_of_log = read_lines(out / "log.jsonl")
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


def lesson_items(settings: Settings, seed: int) -> list[Item]:
    """The problems to learn from, both tasks in turn."""
    from titer.lab.tasks import items

    by_task = [items(task, settings.problems, seed=seed, held=False) for task in IN_DOMAIN]
    return [item for row in zip(*by_task, strict=True) for item in row]


def tokens_of(rollouts: Iterable[Rollout]) -> int:
    """Tokens that were sampled for rollouts."""
    return sum(rollout.tokens for rollout in rollouts)
