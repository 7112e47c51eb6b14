"""Rewrites: a trace told again by a model that is shown the solution.

candidates, failed = rewrites(traces, problems, sampler, count=2, work=Path("rewrites"))

The prompt is ours: that of arXiv 2606.04466 is not public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.records import Problem, Rollout, Trace, in_words, join_thinking, without_turns
from titer.rollouts import Sampler, collect_sparing

PROMPT = """\
Here is a problem, and a solution of it that a beginner cannot follow.

Problem:
{problem}

Solution:
{solution}

Write a solution that a beginner can follow: short steps, each of which follows from those before it, with every
calculation written out. Write as if you solved the problem yourself and had not seen any solution. Leave out what leads
nowhere. Finish with the answer in the same form as above.
"""


PART = 32  # traces


class Rewrites(NamedTuple):
    """Candidates by the id of the trace that they retell, and a line for each answer that did not come."""

    by_trace: dict[str, list[Trace]]
    failed: list[str]


def rewrites(
    traces: Sequence[Trace], problems: Mapping[str, Problem], sampler: Sampler, *, count: int, work: Path
) -> Rewrites:
    """`count` rewrites of each trace; those that were cut or did not come are named. Resumes in `work`.

    The shortest trace goes alone, the others `PART` at a time; one that the model refuses (beyond its context) costs
    itself alone. When nothing comes back for a whole part, or the server is gone, the rest is left out; a later call
    asks for it again.
    """
    traces = sorted(traces, key=lambda trace: len(trace.reasoning) + len(trace.response))
    found: dict[str, list[Trace]] = {trace.id: [] for trace in traces}
    failed: list[str] = []
    parts = [traces[:1], *(traces[first : first + PART] for first in range(1, len(traces), PART))]
    for number, part in enumerate(parts):
        out = work / f"rewrites-{number}.jsonl"
        try:
            asked = [_asked(trace, problems) for trace in part]
            rollouts, refused = collect_sparing(sampler, asked, samples=count, out=out) if asked else ([], [])
        except InputError as error:
            return Rewrites(found, [*failed, f"no rewrite of {len(traces) - _index(parts, number)} traces: {error}"])
        failed += [f"no rewrite of {line}" for line in refused]
        by_id = {trace.id: trace for trace in part}
        for rollout in rollouts:
            if rollout.finish_reason == "stop":
                found[rollout.problem_id].append(_rewritten(by_id[rollout.problem_id], rollout))
            else:
                said = "cut at max_tokens" if rollout.finish_reason == "length" else rollout.note
                failed.append(f"rewrite {rollout.id}: {said}")
        if rollouts and all(rollout.finish_reason == "error" for rollout in rollouts):
            out.unlink(missing_ok=True)
            left = len(traces) - _index(parts, number + 1)
            return Rewrites(found, [*failed, f"no rewrite of {left} more traces: the model answers nothing"])
    return Rewrites(found, failed)


def _index(parts: Sequence[Sequence[Trace]], number: int) -> int:
    """How many traces stand before a part."""
    return sum(len(part) for part in parts[:number])


def _asked(trace: Trace, problems: Mapping[str, Problem]) -> Problem:
    solution = join_thinking(trace.reasoning, trace.response)
    problem = problems[trace.problem_id]
    prompt = PROMPT.format(problem=in_words(trace), solution=solution)
    return replace(problem, id=trace.id, prompt=prompt, meta=without_turns(problem.meta))


def _rewritten(trace: Trace, rollout: Rollout) -> Trace:
    """The rewrite in the form of the trace: what came without a thinking is one up to its last paragraph."""
    reasoning, response = rollout.reasoning, rollout.response
    if trace.reasoning.strip() and not reasoning.strip():
        reasoning, _, response = response.rstrip().rpartition("\n\n")
    return replace(
        trace,
        id=f"{trace.id}:rewrite{rollout.sample}",
        teacher=rollout.model,
        reasoning=reasoning.strip(),
        response=response.strip(),
        correct=None,
        meta={**trace.meta, "bridged_from": trace.id, "bridge": "rewrite"},
    )
