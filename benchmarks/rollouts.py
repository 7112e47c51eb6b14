"""Tokens per second of titer's in-process generator, beside `model.generate` used in its two usual ways.

    python benchmarks/rollouts.py                  # the lab's base model on the lab's prompts
    python benchmarks/rollouts.py --model DIR      # any causal language model in a directory
    python benchmarks/rollouts.py --random         # a random model of the lab's shape, where there is no other

Compared are (a) `model.generate` prompt by prompt and (b) one padded `model.generate` over all prompts at once.
Every round runs ours, then the other, then ours again (A B A), so a machine that slows down hits both; a round's
ratio is the mean of ours over the other. Tokens are counted up to and with the end of turn. Same prompts, same
temperature, top-p and max_tokens for all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from titer.generate.protocol import Request, Sampling
from titer.generate.transformers_engine import TransformersGenerator

LAB_MODEL = Path(__file__).resolve().parent.parent / "src" / "titer" / "lab" / "base"
PROMPT_BY_PROMPT_SHARE = 8
"""(a) takes so long that it answers one prompt in eight. Its speed does not depend on how many there are."""


class Workload(NamedTuple):
    """A model, the prompts to answer and how to sample."""

    model: Any
    tokenizer: Any
    prompts: list[str]
    sampling: Sampling


class Ratios(NamedTuple):
    """Ours over the other, over the rounds: the lowest, the median and the highest."""

    low: float
    mid: float
    high: float


def lab_prompts(count: int) -> list[str]:
    """Held-out prompts of all the lab's tasks in turn: answers of 3 to 35 tokens in the short form."""
    from titer.lab.tasks import TASKS, items

    per_task = -(-count // len(TASKS))
    columns = [[item.problem.prompt for item in items(task, per_task, seed=0, held=True)] for task in TASKS]
    return [prompt for row in zip(*columns, strict=True) for prompt in row][:count]


def random_lab_model() -> tuple[Any, Any]:
    """The lab's shape with random weights. Several tokens end a turn, so that lengths differ as real ones do."""
    from titer.lab.words import make_tokenizer

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(shape)
    model.lm_head.weight.data.mul_(6)  # peaked, as a trained model's predictions are
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *range(50, 74)]
    return model, tokenizer


def load(model_dir: Path | None, prompts: int, max_tokens: int) -> Workload:
    """The model of a directory, or the random one."""
    if model_dir is None:
        model, tokenizer = random_lab_model()
    else:
        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(model_dir, local_files_only=True, dtype=torch.float32)
    return Workload(model.eval(), tokenizer, lab_prompts(prompts), Sampling(max_tokens=max_tokens))


def ours(work: Workload) -> list[int]:
    """Lengths of titer's completions."""
    generator = TransformersGenerator(work.model, work.tokenizer)
    requests = (Request(str(i), prompt) for i, prompt in enumerate(work.prompts))
    return [completion.tokens for completion in generator.stream(requests, work.sampling)]


def prompt_by_prompt(work: Workload) -> list[int]:
    """Lengths of `model.generate`, one prompt at a time."""
    return [length for prompt in work.prompts[::PROMPT_BY_PROMPT_SHARE] for length in generate(work, [prompt])]


def padded_batch(work: Workload) -> list[int]:
    """Lengths of one `model.generate` over all prompts, padded on the left."""
    return generate(work, work.prompts)


def generate(work: Workload, prompts: Sequence[str]) -> list[int]:
    """Lengths of what `model.generate` answers to these prompts in one batch."""
    render = work.tokenizer.apply_chat_template
    texts = [
        render([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False) for prompt in prompts
    ]
    batch = work.tokenizer(texts, add_special_tokens=False, padding=True, padding_side="left", return_tensors="pt")
    output = work.model.generate(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        do_sample=True,
        temperature=work.sampling.temperature,
        top_p=work.sampling.top_p,
        top_k=0,
        max_new_tokens=work.sampling.max_tokens,
        pad_token_id=work.tokenizer.pad_token_id,
    )
    ends = torch.tensor(work.model.generation_config.eos_token_id).view(-1)
    ended = torch.isin(output[:, batch["input_ids"].shape[1] :], ends)
    return [int(row.float().argmax()) + 1 if row.any() else len(row) for row in ended]


def tokens_per_second(run: Callable[[Workload], list[int]], work: Workload) -> float:
    """Of one run."""
    start = time.perf_counter()
    lengths = run(work)
    return sum(lengths) / (time.perf_counter() - start)


def compare(name: str, other: Callable[[Workload], list[int]], work: Workload, rounds: int) -> Ratios:
    """Ratios of ours over the other, round by round, after one warm-up of each."""
    ours(work), other(work)
    ratios = []
    for _ in range(rounds):
        before, theirs, after = (tokens_per_second(run, work) for run in (ours, other, ours))
        ratios.append((before + after) / 2 / theirs)
        print(f"{name}: ours {before:.0f} and {after:.0f} tokens/s, theirs {theirs:.0f}", file=sys.stderr)
    return Ratios(min(ratios), statistics.median(ratios), max(ratios))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=LAB_MODEL, help="a model directory (default: the lab's base)")
    parser.add_argument("--random", action="store_true", help="a random model of the lab's shape instead")
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--quick", action="store_true", help="64 prompts and 3 rounds: a look, not a measurement")
    parser.add_argument("--json", action="store_true", help="print the ratios [lowest, median, highest] as JSON")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.prompts, chosen.rounds = 64, 3
    torch.set_num_threads(chosen.threads)
    work = load(None if chosen.random else chosen.model, chosen.prompts, chosen.max_tokens)
    lengths = sorted(ours(work))
    spread = f"{lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}"
    print(f"{len(lengths)} answers of {spread}; {chosen.threads} threads", file=sys.stderr)
    result = {
        "over_prompt_by_prompt": compare("prompt by prompt", prompt_by_prompt, work, chosen.rounds),
        "over_padded_batch": compare("one padded batch", padded_batch, work, chosen.rounds),
    }
    if chosen.json:
        print(json.dumps({name: [round(ratio, 2) for ratio in ratios] for name, ratios in result.items()}))
        return
    for name, ratios in result.items():
        print(f"{name}: {ratios.mid:.2f}x (lowest {ratios.low:.2f}, highest {ratios.high:.2f})")


if __name__ == "__main__":
    main()
