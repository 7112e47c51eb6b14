"""What every stage samples with: a model in this process or others, and progress in words.

generator = make_generator(model, recipe.generate, name="base")
collect(generator, …, said=progress_lines(said, "measure"))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from titer.generate.protocol import Generator
from titer.models import Loaded, as_folder, describe_model, ends_of, load_model
from titer.processes import has_bf16, this_process
from titer.recipe import Generate
from titer.rollouts import Progress
from titer.rollouts.claim import made_file

Said = Callable[[str], None]
LINES = "rollouts.jsonl"  # in a stage's work folder: rollouts as they come, which its table then holds
SPENT = (LINES, made_file(Path(LINES)).name)


def make_generator(model: str, settings: Generate, *, name: str) -> Generator:
    """The model, ready to be sampled by the engine that the settings name: in this process on its GPU in bfloat16 where
    there is one."""
    if settings.engine == "ray":
        return _on_ray(model, settings, name)
    if settings.engine == "vllm":
        return _by_vllm(model, settings, name)
    if settings.engine == "server":
        from titer.generate.workers.served import ServedGenerator

        return ServedGenerator(settings.serve, as_folder(model), servers=settings.servers, name=name)
    return generator_of(load_model(model), settings, name=name)


def generator_of(loaded: Loaded, settings: Generate, *, name: str) -> Generator:
    """The same for a model that is loaded already; it moves to the GPU."""
    import torch

    from titer.generate import TransformersGenerator

    device = this_process().device
    if device.type == "cuda" and has_bf16():
        loaded.model.to(torch.bfloat16)
    return TransformersGenerator(
        loaded.model, loaded.tokenizer, name=name, batch_size=settings.batch_size, device=device
    )


def _on_ray(model: str, settings: Generate, name: str) -> Generator:
    from titer.generate.workers.ray_engine import RayGenerator

    ray = settings.ray
    inside = settings.model_copy(update={"engine": ray.engine})
    return RayGenerator(
        partial(make_generator, model, inside, name=name),
        name=name,
        workers=ray.workers,
        cpus=ray.cpus,
        gpus=ray.gpus,
        address=ray.address,
    )


def _by_vllm(model: str, settings: Generate, name: str) -> Generator:
    import torch

    from titer.generate.workers.vllm_engine import VllmGenerator

    weights = as_folder(model)
    config, tokenizer = describe_model(weights.path)
    return VllmGenerator(
        weights,
        tokenizer,
        context=_context(config, settings),
        eos_ids=ends_of(weights.path, tokenizer),
        python=settings.vllm_python,
        # the dtype of titer's own engine, so that one may stand for the other; on CPU vLLM would take nearly all memory
        engine={
            "dtype": "bfloat16" if has_bf16() else "float32",
            **({} if torch.cuda.is_available() else {"gpu_memory_utilization": 0.3}),
            **settings.vllm,
        },
        name=name,
    )


def _context(config: Any, settings: Generate) -> int | None:
    """The model's, or what vLLM is told to keep it to. Not all that vLLM takes for it is a number of tokens."""
    told = settings.vllm.get("max_model_len")
    bounds = [getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)]
    bounds += [told] if isinstance(told, int) and told > 0 else []
    return min((bound for bound in bounds if bound), default=None)


def progress_lines(said: Said, what: str) -> Callable[[Progress], None]:
    """Progress of a collection as lines."""

    def line(p: Progress) -> str:
        right = f", {p.right / p.graded:.1%} right" if p.graded else ""  # none is graded before its chunk is whole
        return f"{what}: {_how_far(p)} rollouts{right}"

    return lambda p: said(line(p))


def _how_far(progress: Progress) -> str:
    return f"{progress.done}/{progress.total}" if progress.total else str(progress.done)
