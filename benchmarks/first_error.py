"""How often the first wrong step of an attempt is found, in the lab and in real attempts.

    python benchmarks/first_error.py [--champ champ_dataset-1.0.0-py3-none-any.whl] [--problems 300] [--json]

In the lab one step of a derivation is made wrong: its result, or one of its numbers. CHAMP (Mao et al., arXiv
2401.06961) has 540 attempts of four models at competition problems, with the first wrong step marked by people in those
that have one: `pip download --no-deps champ-dataset` gets the wheel (MIT), which is read and never imported. A step is
found where it and the marked text have a character in common. Precision is over the attempts in which anything is
found, recall over those with an error; beside them stand "always the first step" and "always the last".
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from titer.lab.slips import slip
from titer.lab.tasks import items
from titer.stages.first_error import by_arithmetic
from titer.traces import cut_text

Locator = Callable[[str], int | None]
LOCATORS: dict[str, Locator] = {
    "arithmetic": by_arithmetic,
    "always first": lambda _: 0,
    "always last": lambda text: max(0, len(cut_text(text)) - 1),
}


class Attempt(NamedTuple):
    """A text, and where its first wrong step begins and ends; None where it has none."""

    text: str
    wrong: tuple[int, int] | None


class Found(NamedTuple):
    """Attempts with an error and without, those in which something was found, and where it was right."""

    wrong: int
    flagged: int
    hit: int
    late: int
    sound: int
    sound_flagged: int


def lab(kind: str, count: int) -> Iterator[Attempt]:
    """Attempts at countdown4 with a known wrong step."""
    for item in items("countdown4", count, seed=0, held=False):
        slipped = slip(item, kind, seed=0)  # type: ignore[arg-type]
        text = slipped.trace.reasoning
        paragraphs = text.split("\n\n")
        begin = sum(len(paragraph) + 2 for paragraph in paragraphs[: slipped.step])
        yield Attempt(text, (begin, begin + len(paragraphs[slipped.step])))


def champ(wheel: Path) -> Iterator[Attempt]:
    """The annotated attempts of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("v0.json")]
        problems = json.loads(archive.read(name))["problems"]
    for problem in problems.values():
        for one in problem["fws_annotations"].values():
            yield Attempt(one["text"], (one["start_idx"], one["end_idx"]) if one["start_idx"] is not None else None)


def judged(attempts: list[Attempt], locate: Locator) -> Found:
    """Counts of what a locator found."""
    counts = dict.fromkeys(Found._fields, 0)
    for text, wrong in attempts:
        step = locate(text)
        counts["wrong" if wrong else "sound"] += 1
        if step is None:
            continue
        counts["flagged" if wrong else "sound_flagged"] += 1
        if wrong:
            steps = cut_text(text)
            begin = sum(map(len, steps[:step]))
            end = begin + len(steps[step].rstrip())
            counts["hit"] += begin < wrong[1] and end > wrong[0]
            counts["late"] += begin >= wrong[1]
    return Found(**counts)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--champ", type=Path)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sets = {f"lab, wrong {kind}": list(lab(kind, asked.problems)) for kind in ("result", "number")}
    if asked.champ:
        sets["CHAMP"] = list(champ(asked.champ))
    found = {name: {how: judged(some, locate) for how, locate in LOCATORS.items()} for name, some in sets.items()}
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
