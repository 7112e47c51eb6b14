"""What every stage samples with: a model in this process, and progress in words.

generator = make_generator(model, recipe.generate, name="base")
collect(generator, …, said=spoken(said, "measure"))
"""

from __future__ import annotations

from collections.abc import Callable

from titer.generate.protocol import Generator
from titer.models import Loaded, load_model
from titer.processes import this_process
from titer.recipe import Generate
from titer.rollouts import Progress

Said = Callable[[str], None]


def make_generator(model: str, settings: Generate, *, name: str) -> Generator:
    """The model, loaded and ready to be sampled in this process: on its GPU in bfloat16 where there is one."""
    return generator_of(load_model(model), settings, name=name)


def generator_of(loaded: Loaded, settings: Generate, *, name: str) -> Generator:
    """The same for a model that is loaded already; it moves to the GPU."""
    import torch

    from titer.generate import TransformersGenerator

    device = this_process().device
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        loaded.model.to(torch.bfloat16)
    return TransformersGenerator(
        loaded.model, loaded.tokenizer, name=name, batch_size=settings.batch_size, device=device
    )


def spoken(said: Said, what: str) -> Callable[[Progress], None]:
    """Progress of a collection as lines."""
    return lambda p: said(f"{what}: {_how_far(p)} rollouts, {p.right / max(1, p.graded):.1%} right")


def _how_far(progress: Progress) -> str:
    return f"{progress.done}/{progress.total}" if progress.total else str(progress.done)
