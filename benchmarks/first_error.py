"""How often the first wrong step of an attempt is found, in the lab and in real attempts.

    python benchmarks/first_error.py [--champ WHEEL] [--problems 300] [--student MODEL] [--judge MODEL] [--json]

In the lab one step of a derivation is made wrong: its result, one of its numbers, or its turn, which leads away from
the target. Rollouts from prefixes are those of a student: the lab's model, warm-started on the convergent teacher here
unless `--student` names another. CHAMP (Mao et al., arXiv 2401.06961) has 540 attempts of four models at competition
problems, with the first wrong step marked by people in those that have one: `pip download --no-deps champ-dataset` gets
the wheel (MIT), which is read and never imported. `--judge` is asked about the first `--judged` attempts of each set. A
step is found where it and the marked text have a character in common. Precision is over the attempts in which anything
is found, recall over those with an error; beside them stand "always the first step" and "always the last".
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from titer import verbs
from titer.generate.protocol import Sampling
from titer.lab.slips import slip
from titer.lab.tasks import items
from titer.lab.teachers import explain
from titer.pipeline.routes.student import opened
from titer.recipe import Generate, Train
from titer.records import Problem, Trace, write_records
from titer.stages.critique import Attempt, Located, by_arithmetic, by_judge, by_rollouts

ROLLOUTS, MOST = 8, 32  # from each place, and while none is right


class Marked(NamedTuple):
    """An attempt, and where its first wrong step begins and ends in its text; None where it has none."""

    attempt: Attempt
    wrong: tuple[int, int] | None


class Found(NamedTuple):
    """Attempts with an error and without, those in which something was found, and where it was right."""

    wrong: int
    flagged: int
    hit: int
    late: int
    sound: int
    sound_flagged: int


Locator = Callable[[Sequence[Attempt]], Mapping[str, Located]]


def lab(kind: str, count: int) -> Iterator[Marked]:
    """Attempts at countdown4 with a known wrong step."""
    for item in items("countdown4", count, seed=0, held=False):
        slipped = slip(item, kind, seed=0)  # type: ignore[arg-type]
        paragraphs = slipped.trace.reasoning.split("\n\n")
        begin = sum(len(paragraph) + 2 for paragraph in paragraphs[: slipped.step])
        yield Marked(Attempt.of(item.problem, slipped.trace), (begin, begin + len(paragraphs[slipped.step])))


def champ(wheel: Path) -> Iterator[Marked]:
    """The annotated attempts of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("v0.json")]
        problems = json.loads(archive.read(name))["problems"]
    for name, problem in problems.items():
        asked = Problem(id=name, prompt=problem["_text"], answer=str(problem["_answer"]))
        for model, one in problem["fws_annotations"].items():
            trace = Trace(id=f"{name}:{model}", problem_id=name, prompt=asked.prompt, response=one["text"])
            place = (one["start_idx"], one["end_idx"]) if one["start_idx"] is not None else None
            yield Marked(Attempt.of(asked, trace), place)


def warmed(folder: Path) -> str:
    """The lab's model after 150 updates on the convergent teacher: it thinks in words, and solves about half."""
    made = [*items("countdown3", 1200, seed=1, held=False), *items("countdown4", 1200, seed=1, held=False)]
    write_records(folder / "traces.jsonl", [explain(item, teacher="convergent", seed=1) for item in made])
    settings = Train(
        objective="nll", updates=150, batch_size=16, learning_rate=1e-3, micro_tokens=2048, probe_samples=0
    )
    return verbs.sft("lab", folder / "traces.jsonl", out=folder / "sft", settings=settings).checkpoint


def always(step: Callable[[Attempt], int]) -> Locator:
    """A locator that looks at nothing."""
    return lambda attempts: {one.trace.id: Located(step(one), "", "always") for one in attempts}


def judged(marked: Sequence[Marked], locate: Locator) -> Found:
    """Counts of what a locator found."""
    counts = dict.fromkeys(Found._fields, 0)
    found = locate([one.attempt for one in marked])
    for attempt, wrong in marked:
        located = found.get(attempt.trace.id)
        counts["wrong" if wrong else "sound"] += 1
        if located is None:
            continue
        counts["flagged" if wrong else "sound_flagged"] += 1
        if wrong:
            pieces = attempt.steps.pieces
            begin = sum(map(len, pieces[: located.step]))
            end = begin + len(pieces[located.step].rstrip())
            counts["hit"] += begin < wrong[1] and end > wrong[0]
            counts["late"] += begin >= wrong[1]
    return Found(**counts)


def by_student(model: str, folder: Path) -> Locator:
    """Rollouts of a model from prefixes."""

    def locate(attempts: Sequence[Attempt]) -> Mapping[str, Located]:
        with opened(model, Generate(), Sampling(temperature=1.0, top_p=1.0, max_tokens=120)) as student:
            work = Path(tempfile.mkdtemp(dir=folder))
            return by_rollouts(attempts, student.sampler, samples=ROLLOUTS, most=MOST, out=work / "rollouts.jsonl")

    return locate


def by_model(model: str, folder: Path) -> Locator:
    """A model that is asked."""

    def locate(attempts: Sequence[Attempt]) -> Mapping[str, Located]:
        with opened(model, Generate(), Sampling(temperature=0.0, max_tokens=60)) as student:
            return by_judge(attempts, student.sampler, out=Path(tempfile.mkdtemp(dir=folder)) / "verdicts.jsonl")

    return locate


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--champ", type=Path)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--student")
    parser.add_argument("--judge")
    parser.add_argument("--judged", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    first, last = always(lambda _: 0), always(lambda one: max(0, len(one.steps.pieces) - 1))
    plain: dict[str, Locator] = {"arithmetic": by_arithmetic, "always first": first, "always last": last}
    found: dict[str, dict[str, Found]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student = by_student(asked.student or warmed(folder), folder)
        for kind in ("result", "number", "turn"):
            marked = list(lab(kind, asked.problems))
            ways = {**plain, "rollouts": student}
            found[f"lab, wrong {kind}"] = {how: judged(marked, locate) for how, locate in ways.items()}
            if asked.judge:
                judge = judged(marked[: asked.judged], by_model(asked.judge, folder))
                found[f"lab, wrong {kind}"]["judge"] = judge
        if asked.champ:
            marked = list(champ(asked.champ))
            found["CHAMP"] = {how: judged(marked, locate) for how, locate in plain.items()}
            if asked.judge:
                found["CHAMP"]["judge"] = judged(marked[: asked.judged], by_model(asked.judge, folder))
    if asked.json:
        print(json.dumps({name: {how: one._asdict() for how, one in ways.items()} for name, ways in found.items()}))
        return
    for name, ways in found.items():
        for how, one in ways.items():
            precision = one.hit / max(1, one.flagged + one.sound_flagged)
            print(
                f"{name:>17}, {how:12}: step right in {one.hit} of {one.wrong} (recall {one.hit / one.wrong:.3f}), "
                f"precision {precision:.3f}; a later step in {one.late}; said of {one.sound_flagged} of {one.sound} "
                "attempts without an error"
            )


if __name__ == "__main__":
    main()
