"""Whether a round gained: its model beside the one before, on training problems that no round sees.

judged = judge_round(going, held, model, before="judge-0", number=1)
judged.kept, judged.narrowed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from titer.evaluate import change_in_pass
from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, Model, named
from titer.pipeline.routes.rl import tenths
from titer.pipeline.sampling import SPENT
from titer.pipeline.training.trial import change_in_accuracy, sample_arm
from titer.recipe import SAMPLED
from titer.records import Decision, Problem, Rollout, read_rollouts, write_records
from titer.records.results import Interval
from titer.store import read_json, read_lines, write_json

FIRST = "judge-0"  # the base's own rollouts


class Judged(NamedTuple):
    """A round's model beside the one kept so far: changes in pass@1 and pass@k on held-out problems, the share of its
    first entropy that RL's rollouts end with (None: no RL), and whether it is kept."""

    k: int
    pass_1: Interval
    pass_k: Interval
    entropy: float | None
    kept: bool

    @property
    def narrowed(self) -> bool:
        """Whether pass@1 rose while pass@k fell: what was solved now and then is solved always, or never any more."""
        return self.pass_1.low > 0 and self.pass_k.high < 0


def sample_held(going: Going, name: str, model: Model, held: Sequence[Problem]) -> str:
    """The stage with a model's rollouts on the held-out problems; its name."""

    def build(work: Path) -> None:
        _sample(going, model, held, name, work)

    going.folder.stage(name, {**going.known, "model": model.key, **_how(going)}, build, spent=SPENT, said=going.said)
    return name


def judge_round(going: Going, held: Sequence[Problem], model: Model, before: str, number: int) -> Judged:
    """The round's model beside the one whose rollouts stage `before` has."""
    folder = going.folder.stage(
        named("judge", number),
        {**going.known, "model": model.key, "before": going.folder.key(before), **_how(going)},
        lambda work: _judge(going, held, model, before, number, work),
        spent=SPENT,
        said=going.said,
    )
    return read_json(
        folder / "judged.json",
        lambda row: Judged(**{**row, "pass_1": Interval(*row["pass_1"]), "pass_k": Interval(*row["pass_k"])}),
    )


def is_kept(pass_1: Interval, pass_k: Interval, entropy: float | None, least: float) -> bool:
    """Whether a round's model takes the place of the one before: pass@1 rose, pass@k did not fall, and RL's rollouts
    have kept their variety, or have solved more for the lack of it."""
    collapsed = entropy is not None and entropy < least
    return pass_1.low > 0 and not pass_k.high < 0 and (not collapsed or pass_k.low > 0)


def _judge(going: Going, held: Sequence[Problem], model: Model, before: str, number: int, work: Path) -> None:
    settings, seed = going.recipe.stages, going.recipe.seed
    one = list(read_rollouts(going.folder.path / before / "rollouts.parquet"))
    other = _sample(going, model, held, named("judge", number), work)
    found, k = change_in_accuracy(one, other, seed=seed), _shared_k(one, other)
    pass_1 = found.change.with_differing(found.differing)
    pass_k = change_in_pass(one, other, k=k, seed=seed)
    entropy = _entropy_left(going.folder.path / named("rl", number) / "log.jsonl") if settings.rl else None
    judged = Judged(k, pass_1, pass_k, entropy, is_kept(pass_1, pass_k, entropy, settings.least_entropy))
    write_json(work / "judged.json", judged._asdict())
    write_decisions(work, [_decision(going, judged, len(held), number)])


def _decision(going: Going, judged: Judged, held: int, number: int) -> Decision:
    evidence: dict[str, Any] = {
        "change in pass@1": "{1:+.3f} [{0:+.3f}, {2:+.3f}]".format(*judged.pass_1),
        f"change in pass@{judged.k}": "{1:+.3f} [{0:+.3f}, {2:+.3f}]".format(*judged.pass_k),
        "held-out problems": held,
    }
    if judged.entropy is not None:
        evidence["entropy of RL's rollouts, last over first"] = round(judged.entropy, 3)
    if judged.narrowed:
        evidence["beware"] = "pass@1 rose while pass@k fell"
    return Decision(
        stage=named("judge", number),
        question=f"Did round {number} gain?",
        choice="yes: its model is kept" if judged.kept else "no: rounds end here",
        rule="pass@1 higher and pass@k not lower, by the 95 % interval, entropy not collapsed (ours)",
        evidence=evidence,
        setting="stages",
    )


def _sample(going: Going, model: Model, held: Sequence[Problem], name: str, work: Path) -> list[Rollout]:
    rollouts = sample_arm(going.recipe, model.name, held, name=name, samples=going.recipe.stages.samples, work=work)
    write_records(work / "rollouts.parquet", rollouts)
    return rollouts


def _how(going: Going) -> dict[str, Any]:
    """What the rollouts and the judgement depend on."""
    return {
        "settings": going.recipe.stages.model_dump(include={"held", "samples", "least_entropy"}),
        "sampling": going.recipe.evaluate.model_dump(include={*SAMPLED}),
        "generate": going.recipe.generate.decisive(),
    }


def _shared_k(one: Sequence[Rollout], other: Sequence[Rollout]) -> int:
    """The largest k at which at least half of the problems that both have graded have k graded rollouts of both."""
    sides = [Counter(rollout.problem_id for rollout in side if rollout.score is not None) for side in (one, other)]
    graded = sorted((min(sides[0][name], sides[1][name]) for name in sides[0].keys() & sides[1].keys()), reverse=True)
    return graded[(len(graded) - 1) // 2] if graded else 1


def _entropy_left(log: Path) -> float | None:
    """Mean entropy of RL's last tenth of updates over that of its first; None without RL."""
    first, last = tenths([row["entropy"] for row in read_lines(log) if "entropy" in row] if log.exists() else [])
    return float(np.mean(last) / np.mean(first)) if first and np.mean(first) > 0 else None
