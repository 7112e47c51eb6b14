"""The bridge: traces that are too hard to learn from, made learnable (bridge-like: the paper's prompt is not public).

bridged = bridge(traces, problems, student, Settings(), work=work)
bridged.traces          # one of each trace that has an accepted candidate, and raw ones where the settings say so
bridged.candidates      # every candidate, what was found of it, and why it was refused

Candidates: the trace without its dead lines (`titer.traces.prune`), scaffolds, rewrites. All stand the same test; of
those accepted, the likeliest to the student wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from titer.errors import InputError
from titer.models import Loaded, context_length
from titer.records import Problem, Trace
from titer.rollouts import Sampler
from titer.stages.bridge.accept import Bounds, Checks, leak_in, refused
from titer.stages.bridge.rewrite import rewrites
from titer.stages.bridge.scaffold import scaffolds
from titer.stages.first_error import first_false, first_wrong_step
from titer.stages.prefixes import Place, rates_from, steps_of
from titer.traces import cut_text, prune, text_of

Kind = Literal["pruned", "scaffold", "rewrite"]
KINDS: tuple[Kind, ...] = ("pruned", "scaffold", "rewrite")


class Settings(NamedTuple):
    """What candidates are made, from how many rollouts, and what becomes of a trace that has none."""

    kinds: Sequence[Kind] = ("pruned", "scaffold")
    samples: int = 8
    rewrites: int = 2
    bounds: Bounds = Bounds()
    otherwise: Literal["raw", "nothing"] = "nothing"


class Student(NamedTuple):
    """The model that is to learn: its weights for likelihoods, and how it is sampled."""

    loaded: Loaded
    sampler: Sampler


class Candidate(NamedTuple):
    """A candidate in place of the raw trace `raw`, what was found of it, and why it was refused ("": accepted)."""

    kind: Kind
    raw: Trace
    trace: Trace
    checks: Checks
    fault: str

    @property
    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        return {
            "trace_id": self.raw.id,
            "problem_id": self.raw.problem_id,
            "kind": self.kind,
            "candidate": self.trace.id,
            **self.checks._asdict(),
            "accepted": not self.fault,
            "fault": self.fault,
        }


class Bridged(NamedTuple):
    """The traces to learn from, all candidates, traces left without one, and what went wrong on the way."""

    traces: list[Trace]
    candidates: list[Candidate]
    without: list[Trace]
    faults: list[str]


def bridge(
    traces: Sequence[Trace],
    problems: Mapping[str, Problem],
    student: Student,
    settings: Settings,
    *,
    work: Path,
    rewriter: Sampler | None = None,
) -> Bridged:
    """Bridge each trace; `problems` holds theirs by id, `rewriter` is the student where it is None. Resumes in `work`.

    A trace whose own answer does not verify is set aside, and named in the faults. A rewriter that cannot be reached,
    fails or answers nonsense costs its candidates and nothing else.
    """
    work.mkdir(parents=True, exist_ok=True)
    traces, wrong = _sound(traces, problems, student.sampler)
    made, faults = _candidates(traces, problems, student, settings, work, rewriter)
    raw = {trace.id: trace for trace in traces}
    likely = likelihoods([*traces, *(trace for _, _, trace in made)], student.loaded)
    items = [(problems[trace.problem_id], trace.response) for _, _, trace in made]
    grades = [grade.score for grade in student.sampler.grader.grade(items)]
    checked = [
        _first_checks(kind, raw[origin], trace, score, likely, settings.bounds)
        for (kind, origin, trace), score in zip(made, grades, strict=True)
    ]
    checked = _from_their_halves(checked, problems, student.sampler, settings, work)
    best = _best(checked)
    without = [trace for trace in traces if trace.id not in best]
    raw_too = settings.otherwise == "raw"
    kept = [best.get(trace.id, trace) for trace in traces if raw_too or trace.id in best]
    return Bridged(kept, checked, without, [*wrong, *faults])


def acceptance(candidates: Sequence[Candidate]) -> dict[str, dict[str, float]]:
    """By kind: how many candidates, the share accepted, and their mean NLL beside that of the raw traces."""
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        some = [one for one in candidates if one.kind == kind]
        if some:
            found[kind] = {
                "candidates": len(some),
                "accepted": sum(not one.fault for one in some) / len(some),
                "nll": sum(one.checks.nll for one in some) / len(some),
                "raw_nll": sum(one.checks.raw_nll for one in some) / len(some),
            }
    return found


def likelihoods(traces: Sequence[Trace], loaded: Loaded) -> dict[str, tuple[int, float]]:
    """Trained tokens and mean −log p of one, in nats, of each trace, by id; infinite for one beyond the context."""
    from titer.train import encode
    from titer.train.tokens.token_loss import token_stats

    longest = _context(loaded)
    samples, beyond = [], dict[str, tuple[int, float]]()
    for trace in traces:
        with suppress(InputError):  # an empty one has no likelihood, and is refused for that
            sample = encode(trace, loaded.tokenizer)
            if len(sample.ids) > longest:
                beyond[trace.id] = sample.trained, float("inf")
            else:
                samples.append(sample)
    stats = token_stats(loaded.model, loaded.tokenizer, samples)
    return beyond | {
        sample.trace_id: (len(one.logp_N), float(-one.logp_N.mean()))
        for sample, one in zip(samples, stats, strict=True)
    }


def _context(loaded: Loaded) -> float:
    return context_length(None, loaded.model) or float("inf")


def _sound(traces: Sequence[Trace], problems: Mapping[str, Problem], sampler: Sampler) -> tuple[list[Trace], list[str]]:
    """The traces whose answer verifies, and a line for each of the others."""
    grades = sampler.grader.grade([(problems[trace.problem_id], trace.response) for trace in traces])
    said = {0.0: "its answer is wrong", None: "its answer could not be graded"}
    pairs = list(zip(traces, grades, strict=True))
    return (
        [trace for trace, grade in pairs if grade.score == 1.0],
        [f"trace {trace.id!r} is set aside: {said[grade.score]}" for trace, grade in pairs if grade.score in said],
    )


def _candidates(
    traces: Sequence[Trace],
    problems: Mapping[str, Problem],
    student: Student,
    settings: Settings,
    work: Path,
    rewriter: Sampler | None,
) -> tuple[list[tuple[Kind, str, Trace]], list[str]]:
    """Kind, id of the raw trace and candidate; and what failed."""
    made: list[tuple[Kind, str, Trace]] = []
    pruned = {trace.id: prune(trace).trace for trace in traces}
    if "pruned" in settings.kinds:
        made += [("pruned", name, _marked(trace, name, "pruned")) for name, trace in pruned.items() if trace]
    if "scaffold" in settings.kinds:
        # of what leads nowhere the student would have to read more, and learn more of it
        straight = [replace(pruned[trace.id] or trace, id=trace.id) for trace in traces]
        straight = [trace for trace in straight if _fits(trace, student.loaded)]
        found = scaffolds(straight, problems, student.sampler, samples=settings.samples, work=work)
        made += [("scaffold", name, one) for name, one in found.items()]
    if "rewrite" in settings.kinds:
        told = rewrites(traces, problems, rewriter or student.sampler, count=settings.rewrites, work=work)
        made += [("rewrite", name, trace) for name, some in told.by_trace.items() for trace in some]
        return made, told.failed
    return made, []


def _fits(trace: Trace, loaded: Loaded) -> bool:
    """Whether the model can go on from any place of the trace."""
    from titer.train import encode

    with suppress(InputError):
        return len(encode(trace, loaded.tokenizer).ids) < _context(loaded)
    return False


def _marked(trace: Trace, raw: str, kind: Kind) -> Trace:
    return replace(trace, meta={**trace.meta, "bridged_from": raw, "bridge": kind})


def _first_checks(
    kind: Kind,
    raw: Trace,
    trace: Trace,
    score: float | None,
    likely: Mapping[str, tuple[int, float]],
    bounds: Bounds,
) -> Candidate:
    """All checks but the one that needs rollouts."""
    nowhere = (0, float("inf"))
    tokens, nll = likely.get(trace.id, nowhere)
    raw_tokens, raw_nll = likely.get(raw.id, nowhere)
    checks = Checks(
        correct=None if score is None else score == 1.0,
        leak=leak_in(f"{trace.reasoning}\n{trace.response}", trace.prompt),
        wrong_step=_wrong_step(trace),
        tokens=tokens,
        raw_tokens=max(1, raw_tokens),
        nll=nll,
        raw_nll=raw_nll,
    )
    return Candidate(kind, raw, replace(trace, correct=checks.correct), checks, refused(checks, bounds))


def _wrong_step(trace: Trace) -> int | None:
    """The first step in which a calculation does not hold, the response behind the thinking being the last."""
    wrong = first_wrong_step(text_of(trace))
    if wrong is None and trace.reasoning.strip() and first_false(trace.response):
        return len(cut_text(text_of(trace)))
    return wrong


def _from_their_halves(
    candidates: Sequence[Candidate], problems: Mapping[str, Problem], sampler: Sampler, settings: Settings, work: Path
) -> list[Candidate]:
    """The candidates with their solve rates from the first half, where everything else is well."""
    places = {}
    for one in candidates:
        if not one.fault:
            steps = steps_of(one.trace)
            places[one.trace.id] = Place(problems[one.raw.problem_id], one.trace.id, steps, len(steps.pieces) // 2)
    found = rates_from(list(places.values()), sampler, samples=settings.samples, out=work / "halves.jsonl")
    rated = []
    for one in candidates:
        if place := places.get(one.trace.id):
            checks = one.checks._replace(half_rate=found[place.id].rate)
            one = one._replace(checks=checks, fault=refused(checks, settings.bounds))  # noqa: PLW2901
        rated.append(one)
    return rated


def _best(candidates: Sequence[Candidate]) -> dict[str, Trace]:
    """The likeliest of the accepted candidates of each raw trace, by its id."""
    accepted = [one for one in candidates if not one.fault]
    ranked = sorted(accepted, key=lambda one: one.checks.nll, reverse=True)
    return cast(dict[str, Trace], {one.raw.id: one.trace for one in ranked})
