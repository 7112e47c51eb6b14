"""Two synthetic teachers that explain the same derivation in words.

    trace = explain(item, teacher="divergent", seed=0, branch_rate=0.6)

`convergent` derives. `divergent` opens branches that miss the target, abandons them, and checks again at the end.
Both end in the same verified answer. The cue words are those of real traces (arXiv 2604.01702: Perhaps, Another,
Alternatively).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from titer.lab.arithmetic import Step, after, expression, moves
from titer.lab.tasks import Item, listing
from titer.records import Trace

TEACHERS = ("convergent", "divergent")


def explain(item: Item, *, teacher: str, seed: int, branch_rate: float = 0.6) -> Trace:
    """One teacher's trace of one search item.

    `branch_rate` is the chance that `divergent` opens a dead branch before a step.
    """
    rng = random.Random(f"{teacher}:{seed}:{item.problem.id}")
    rate = branch_rate if teacher == "divergent" else 0.0
    paragraphs = derivation(rng, item, rate)
    if teacher == "divergent":
        paragraphs += recheck(rng, item.steps)
    return Trace(
        id=f"{item.problem.id}:{teacher}",
        problem_id=item.problem.id,
        teacher=teacher,
        prompt=item.problem.prompt,
        reasoning="\n\n".join(paragraphs),
        response=f"Answer: {expression(item.steps)}",
        domain=item.problem.domain,
    )


def derivation(rng: random.Random, item: Item, branch_rate: float) -> list[str]:
    """The way to the target, a paragraph a step, with dead branches before some of the steps."""
    numbers, target = list(item.problem.meta["numbers"]), int(item.problem.answer)
    said = [f"We need {target} from {listing(numbers)}."]
    for i, step in enumerate(item.steps):
        abandoned = False
        while rng.random() < branch_rate and len(said) < 12:
            said += branch(rng, numbers, target, step, reopened=abandoned)
            abandoned = True
        said.append(say(rng, step, after(numbers, step), first=i == 0, abandoned=abandoned))
        numbers = after(numbers, step)
    return said


def say(rng: random.Random, step: Step, left: Sequence[int], *, first: bool, abandoned: bool) -> str:
    """One step of the derivation, with what is left to work with."""
    opening = (
        rng.choice(("Instead,", "Actually,")) if abandoned else "First," if first else rng.choice(("Then", "Next,"))
    )
    closing = f"which leaves {listing(left)}" if len(left) > 1 else "which is the target"
    return f"{opening} {step}, {closing}."


def branch(rng: random.Random, numbers: list[int], target: int, right: Step, *, reopened: bool) -> list[str]:
    """A line of attack that misses the target: opened, followed to its end, given up."""
    cue = rng.choice(("Alternatively,", "Another way:") if reopened else ("Perhaps", "Maybe", "Let me try"))
    wrong = [step for step in moves(numbers) if step != right]
    said: list[str] = []
    while wrong:
        step = rng.choice(wrong)
        numbers = after(numbers, step)
        opening = rng.choice(("Then", "Next,")) if said else cue
        closing = f"which leaves {listing(numbers)}" if len(numbers) > 1 else f"not {target}"
        said.append(f"{opening} {step}, {closing}.")
        wrong = [step for step in moves(numbers) if len(numbers) > 2 or step.result != target]
    return [*said, rng.choice(("Wait, that does not work.", "Hmm, that is not right."))]


def recheck(rng: random.Random, steps: Sequence[Step]) -> list[str]:
    """The closing verification."""
    opening = rng.choice(("Let me check again:", "Wait, check:"))
    return [f"{opening} {', '.join(map(str, steps))}.", "Yes, that is right."]
