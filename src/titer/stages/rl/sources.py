"""What draws the rollouts of RL: titer's engine, or what TRL has (transformers' generate, vLLM).

sample = source_of(loaded, Rl(generator="engine"), seed=0)
sample(trainer, requests)        # `n` answers for each request
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from titer.errors import InputError
from titer.generate.protocol import Request, Sampling
from titer.models import Loaded
from titer.recipe import Rl
from titer.records.thinking import split_thinking
from titer.stages.rl.sampling import Drawn

Source = Callable[[Any, Sequence[Request]], list[list[Drawn]]]


def source_of(loaded: Loaded, settings: Rl, seed: int) -> Source:
    """The sampler that the settings name."""
    if settings.generator == "engine":
        return lambda trainer, requests: by_engine(trainer, requests, loaded, settings, seed)
    return lambda trainer, requests: by_trl(trainer, requests, loaded)


def by_engine(trainer: Any, requests: Sequence[Request], loaded: Loaded, settings: Rl, seed: int) -> list[list[Drawn]]:
    """titer's engine on the trainer's own weights. A rollout depends on the seed and its group's number alone."""
    import torch

    from titer.generate import TransformersGenerator
    from titer.generate.text import render

    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    sampling = Sampling(
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens, seed=seed
    )
    half = torch.autocast("cuda", torch.bfloat16) if trainer.args.bf16 else nullcontext()
    with half:
        done = {
            (one.request_id, one.sample): one
            for one in TransformersGenerator(model, loaded.tokenizer).stream(requests, sampling)
        }
    drawn = []
    for request in requests:
        prompt_ids = render(loaded.tokenizer, request).ids
        some = [done[request.id, sample] for sample in range(request.n)]
        drawn.append(
            [Drawn(prompt_ids, list(one.ids), one.reasoning, one.response, one.finish_reason == "stop") for one in some]
        )
    return drawn


def by_trl(trainer: Any, requests: Sequence[Request], loaded: Loaded) -> list[list[Drawn]]:
    """TRL's own generation: transformers' generate, or vLLM with the trainer's weights sent over."""
    from titer.generate.text import decode, render

    rendered = [render(loaded.tokenizer, request) for request in requests]
    samples = requests[0].n
    prompts = [one.ids for one in rendered for _ in range(samples)]
    # TRL has no public name for it; the version that titer takes is bounded
    ids, logps = trainer._generate_single_turn(prompts, None, {}, samples)
    if len(ids) != len(prompts):
        raise InputError(
            f"{len(ids)} answers for {len(prompts)} requests", field="rl.generator", remedy="use rl.generator=engine"
        )
    ends = set(trainer.eos_token_ids)
    drawn = []
    for place, (prompt_ids, tokens) in enumerate(zip(prompts, ids, strict=True)):
        ended = tokens[-1] in ends
        text = decode(loaded.tokenizer, tokens[:-1] if ended else tokens)
        thought = split_thinking(rendered[place // samples].opener + text)
        drawn.append(
            Drawn(prompt_ids, list(tokens), thought.reasoning, thought.response, ended, logps[place] if logps else None)
        )
    return [drawn[first : first + samples] for first in range(0, len(drawn), samples)]
