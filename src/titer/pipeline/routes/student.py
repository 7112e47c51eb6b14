"""A model opened for the stages that sample it: its weights, and how it is sampled and graded.

with opened("lab", Generate(), sampling) as student:
    student.loaded.model, student.sampler
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from titer.generate.protocol import Sampling
from titer.models import load_model
from titer.pipeline.sampling import generator_of, make_generator
from titer.recipe import Generate
from titer.rollouts import Sampler, model_identity
from titer.stages.bridge import Student
from titer.verify import Grader


@contextmanager
def opened(model: str, settings: Generate, sampling: Sampling) -> Iterator[Student]:
    """The model, while its grader's workers live."""
    loaded = load_model(model)
    with Grader() as grader:
        here = settings.engine == "transformers"
        generator = generator_of(loaded, settings, name=model) if here else make_generator(model, settings, name=model)
        yield Student(loaded, Sampler(generator, grader, sampling, model_identity(model), settings.chunk))


def behind_server(
    student: Sampler, server: str | None, name: str | None, timeout: float, sampling: Sampling | None = None
) -> Sampler | None:
    """The server's model in the student's place; None where no server is named."""
    if not (server and name):
        return None
    from titer.generate import ServerGenerator

    generator = ServerGenerator(server, name, timeout=timeout, max_retries=2)
    identity = model_identity(name, server)
    return student._replace(generator=generator, model=identity, sampling=sampling or student.sampling)
