"""What `measure` and `eval` share: a model in this process to sample, or one behind a server."""

from __future__ import annotations

from titer.generate.protocol import Generator
from titer.recipe import Generate
from titer.verbs.idle import all_but, refuse_idle


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
