"""A model, how it is sampled and what grades it: one thing to hand to a stage.

sampler = Sampler(generator, grader, Sampling(), model=model_identity("lab"))
rollouts = sampler.collect(problems, samples=8, out=Path("attempts.jsonl"))
rollouts = sampler.collect_in_rounds(problems, more=lambda taken: …, out=Path("rounds.jsonl"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.generate.protocol import Generator, Sampling
from titer.records import Problem, Rollout
from titer.rollouts.collect import CHUNK, collect
from titer.rollouts.in_rounds import NO_PREFIXES, More, collect_in_rounds
from titer.verify import Grader


class Sampler(NamedTuple):
    """What `collect` takes beside the problems and the place. `model` says which weights `generator` samples."""

    generator: Generator
    grader: Grader
    sampling: Sampling
    model: str
    chunk: int = CHUNK

    def collect(self, problems: Sequence[Problem], *, samples: int, out: Path) -> list[Rollout]:
        """As `titer.rollouts.collect`."""
        return collect(
            self.generator,
            problems,
            samples=samples,
            sampling=self.sampling,
            grader=self.grader,
            out=out,
            model=self.model,
            chunk=self.chunk,
        )

    def collect_in_rounds(
        self, problems: Sequence[Problem], *, more: More, out: Path, prefixes: Mapping[str, str] = NO_PREFIXES
    ) -> list[Rollout]:
        """As `titer.rollouts.collect_in_rounds`."""
        return collect_in_rounds(
            self.generator,
            problems,
            more=more,
            sampling=self.sampling,
            grader=self.grader,
            out=out,
            model=self.model,
            chunk=self.chunk,
            prefixes=prefixes,
        )


ONE_PROMPTS = {"prompt", "messages", "chat_template"}  # fields of refusals that may lie in one prompt
PATIENCE = 3  # problems refused in a row, none answered before: then it is no matter of the problem


def collect_sparing(
    sampler: Sampler, problems: Sequence[Problem], *, samples: int, out: Path
) -> tuple[list[Rollout], list[str]]:
    """Rollouts of all problems that can be asked, and a line for each that is refused: one prompt beyond the context
    must not cost the others.

    Raises InputError where the first few are refused one by one, where all are for what may be the model's fault, and
    what `collect` refuses but for a prompt.
    """
    try:
        return sampler.collect(problems, samples=samples, out=out), []
    except InputError as error:
        if len(problems) == 1 or error.field not in ONE_PROMPTS:
            raise
    found: list[Rollout] = []
    refused: list[str] = []
    for number, problem in enumerate(problems):
        try:
            found += sampler.collect([problem], samples=samples, out=out.with_name(f"{out.stem}-{number}.jsonl"))
        except InputError as error:
            if error.field not in ONE_PROMPTS:
                raise
            refused.append(f"{problem.id}: {error}")
            all_were = len(refused) == len(problems) and error.field != "prompt"
            if not found and (len(refused) == PATIENCE or all_were):
                raise
    return found, refused
