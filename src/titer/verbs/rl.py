"""RL with verified rewards on a file of problems.

result = rl("sft/checkpoints/step-000100", "routed/rl.jsonl", out="rl")
result.checkpoint, result.never_solved
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.pipeline.alone import alone
from titer.pipeline.routes.rl import train_rl
from titer.recipe import Rl
from titer.records.reading import OnBad
from titer.verbs.reading import checked_problems


class RlResult(NamedTuple):
    """The last checkpoint, its updates, why it ended before all ("": it did not), mean reward over the first and the
    last tenth of the updates, the share of groups with nothing to compare, problems never solved, dropped rows."""

    checkpoint: str
    updates: int
    stopped: str
    first_reward: float
    last_reward: float
    dead_groups: float
    never_solved: list[str]
    dropped: list[str]


@alone
def rl(
    model: str,
    problems: str | Path,
    *,
    out: str | Path,
    settings: Rl | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
    progress: bool = False,
) -> RlResult:
    """Train `model` on every problem of a file by GRPO; goes on where an interrupted call with the same `out` stopped.

    Writes `log.jsonl` (a row an update), `groups.jsonl` (what came of each group), `failures.jsonl` (the rollouts of
    groups that failed as a whole) and `checkpoints/` into `out`. Raises InputError for bad rows, without TRL, for
    settings that do not fit each other, and where vLLM is asked for and is not there, cannot be used here, or fails.
    """
    dropped: list[InputError] = []
    rows = checked_problems(problems, on_bad, dropped)
    found = train_rl(model, rows, settings or Rl(), out=Path(out), seed=seed, progress=progress)
    done = found.trained
    return RlResult(
        done.checkpoint,
        done.updates,
        done.stopped,
        found.first_reward,
        found.last_reward,
        found.dead,
        done.never_solved,
        [str(error) for error in dropped],
    )
