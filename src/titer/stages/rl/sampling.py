"""One update's rollouts: groups of new problems, graded, until enough of them have something to compare.

    draws = Draws(queue, log, out / "failures.jsonl", grader, name="rl", prompts=8, samples=8, refills=1, cut="wrong")
    batch = draws.of_update(3, draw)         # batch.rewards: 1.0, 0.0 or None

Groups in which all rollouts score alike teach nothing (their advantages are zero). They are counted, and other problems
are drawn in their place, `refills` times at most; what is missing then is filled up with them (arXiv 2503.14476 samples
on until a batch is full).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from titer.generate.protocol import Request
from titer.records import Problem, Rollout, append_rollouts, earlier_turns
from titer.stages.rl.groups import Group, GroupLog, Queue
from titer.verify import Grade, Grader

Cut = Literal["wrong", "ignore"]


class Drawn(NamedTuple):
    """One sampled answer: its tokens, end-of-turn included, its text in two parts, and whether it ended by itself.

    `logps` are the sampler's own log p of the tokens, where it is another program than the trainer.
    """

    prompt_ids: list[int]
    ids: list[int]
    reasoning: str
    response: str
    ended: bool
    logps: list[float] | None = None


Draw = Callable[[Sequence[Request]], list[list[Drawn]]]
"""Requests → `n` answers for each."""


class Batch(NamedTuple):
    """What an update trains on, a row a rollout, groups in one piece, and the log's figures."""

    drawn: list[Drawn]
    rewards: list[float | None]
    groups: list[Group]
    figures: dict[str, float]


class Draws:
    """Draws the rollouts of updates, and keeps on disk what came of each group and the rollouts of the failed ones."""

    def __init__(
        self,
        queue: Queue,
        log: GroupLog,
        failures: Path,
        grader: Grader,
        *,
        name: str,
        prompts: int,
        samples: int,
        refills: int,
        cut: Cut,
    ) -> None:
        """`prompts` groups of `samples` rollouts make an update; `name` is what rollouts call the model."""
        self.queue, self.log, self.failures, self.grader = queue, log, failures, grader
        self.name, self.prompts, self.samples, self.refills, self.cut = name, prompts, samples, refills, cut

    def of_update(self, update: int, draw: Draw) -> Batch:
        """The rollouts of one update."""
        rows: list[tuple[Group, list[Drawn], list[float | None]]] = []
        for attempt in range(self.refills + 1):
            missing = self.prompts - sum(group.live for group, _, _ in rows)
            if not missing:
                break
            rows += self._round(update, self.prompts if not attempt else missing, draw)
        chosen = sorted(rows, key=lambda row: not row[0].live)[: self.prompts]
        rewards = [reward for _, _, some in chosen for reward in some]
        drawn = [one for _, some, _ in chosen for one in some]
        return Batch(drawn, rewards, [group for group, _, _ in rows], _figures([row[0] for row in rows], self.prompts))

    def _round(self, update: int, count: int, draw: Draw) -> list[tuple[Group, list[Drawn], list[float | None]]]:
        first = len(self.log.groups)
        problems = self.queue.take(first, count)
        # the number of the group keeps two groups of one problem apart
        requests = [
            Request(f"{first + i}:{problem.id}", problem.prompt, self.samples, earlier=earlier_turns(problem))
            for i, problem in enumerate(problems)
        ]
        answers = draw(requests)
        flat = [(problem, one) for problem, some in zip(problems, answers, strict=True) for one in some]
        grades = self.grader.grade([(problem, one.response) for problem, one in flat])
        made, failed = [], list[Rollout]()
        for i, (problem, some) in enumerate(zip(problems, answers, strict=True)):
            its = grades[i * self.samples : (i + 1) * self.samples]
            rewards = [self._reward(one, grade) for one, grade in zip(some, its, strict=True)]
            group = _group(update, first + i, problem, some, rewards)
            made.append((group, some, rewards))
            if group.failed:
                failed += [
                    self._rollout(problem, group.number * self.samples + place, one, grade, reward)
                    for place, (one, grade, reward) in enumerate(zip(some, its, rewards, strict=True))
                ]
        if failed:
            append_rollouts(self.failures, failed)
        self.log.append(group for group, _, _ in made)
        return made

    def _reward(self, drawn: Drawn, grade: Grade) -> float | None:
        """1 right, 0 wrong, None not graded. What was cut by the length limit is wrong or not graded, as set."""
        if not drawn.ended:
            return 0.0 if self.cut == "wrong" else None
        return grade.score

    def _rollout(self, problem: Problem, sample: int, drawn: Drawn, grade: Grade, reward: float | None) -> Rollout:
        """As it was rewarded: what was cut is no right answer, whatever it ends in."""
        return Rollout(
            problem_id=problem.id,
            sample=sample,
            model=self.name,
            prompt=problem.prompt,
            reasoning=drawn.reasoning,
            response=drawn.response,
            finish_reason="stop" if drawn.ended else "length",
            tokens=len(drawn.ids),
            score=reward,
            parsed=grade.parsed,
            note=grade.note,
        )


def _group(
    update: int, number: int, problem: Problem, drawn: Sequence[Drawn], rewards: Sequence[float | None]
) -> Group:
    graded = [reward for reward in rewards if reward is not None]
    tokens = sum(len(one.ids) for one in drawn)
    return Group(update, number, problem.id, graded.count(1.0), len(graded), len(rewards), tokens)


def _figures(groups: Sequence[Group], prompts: int) -> dict[str, float]:
    """Of all groups that were drawn for an update, refills included."""
    graded = sum(group.graded for group in groups)
    return {
        "groups": len(groups),
        "dead_groups": sum(not group.live for group in groups) / len(groups),
        "failed_groups": sum(group.failed for group in groups) / len(groups),
        "refilled": len(groups) - prompts,
        "ungraded": sum(group.drawn - group.graded for group in groups),
        "solve_rate": sum(group.correct for group in groups) / graded if graded else 0.0,
        "rollout_tokens": sum(group.tokens for group in groups),
    }
