"""What `measure` and `eval` share: a model or a server to sample, and where the rollouts go."""

from __future__ import annotations

from pathlib import Path

from titer.errors import InputError
from titer.generate.protocol import Generator
from titer.recipe import Generate
from titer.records import Problem, read_problems
from titer.records.reading import OnBad
from titer.verbs.idle import all_but, refuse_idle
from titer.verify import validate_problem


def open_generator(model: str, settings: Generate, server: str | None) -> Generator:
    """The model in this process, or the one that an OpenAI-compatible server at `server` calls `model`.

    Raises InputError for settings of what samples in this process beside a server.
    """
    if server:
        from titer.generate import ServerGenerator

        refuse_idle(settings, all_but(Generate, "chunk"), "a server samples as it was started")

        return ServerGenerator(server, model, name=model)
    from titer.pipeline.sampling import make_generator

    return make_generator(model, settings, name=model)


def checked_problems(
    file: str | Path, on_bad: OnBad = "stop", dropped: list[InputError] | None = None
) -> list[Problem]:
    """All problems of a file, each fit for its verifier; with `on_bad="drop"` the other rows go to `dropped`.

    Raises InputError naming the first bad row, and when no problem is left.
    """
    problems = list(read_problems(file, on_bad=on_bad, dropped=dropped, check=validate_problem))
    if not problems:
        raise InputError("no problem is left", file=file, remedy="give a file with usable problems")
    return problems
