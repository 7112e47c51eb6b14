"""On paper: what 1 to 1,000 GPUs do with a 0.5B, 7B and 32B model, and what saturates first. Derived, not measured.

    python benchmarks/scaling.py [--json]

Formulas, with P parameters, N GPUs, micro-batches of T tokens a GPU:

- training computes 6 P T operations a micro-batch at `MFU` of the peak;
- FSDP2 gathers the weights twice and scatters the gradients once a micro-batch: 2·2P + 4P bytes through the slowest
  link, overlapped with computing, so that it takes the longer of both; DDP sums 4P bytes;
- so each GPU needs a certain number of tokens an update before the network hides behind computing: `busy_at` is that,
  times the GPUs, and what an update has less of, GPUs wait for;
- memory is 16 P bytes of weights, gradients and AdamW's averages (float32), over N under FSDP2, beside `KEPT` bytes a
  token and layer and unit of width of activations;
- a decoding step reads the weights and the keys and values of all rows once from memory, in bfloat16;
- a checkpoint is 4 P bytes, the state to resume from 12 P; a rollout token about `TEXT` bytes on disk.

The accelerator is an H200 as its maker states it. `MFU`, `KEPT` and the rollouts' shape are assumptions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

PEAK = 989e12  # bfloat16 operations a second, dense
HBM, BANDWIDTH = 141e9, 4.8e12  # bytes, bytes a second
INSIDE, BETWEEN = 450e9, 50e9  # bytes a second and direction: NVLink in a machine of 8, InfiniBand between machines
MFU = 0.4
KEPT = 34.0  # bytes a token, layer and unit of width without recomputing, in bfloat16
TOKENS = 16_384  # of a micro-batch
LENGTH = 8_192  # tokens of a rollout, half of which are there on average
TEXT = 5.0  # bytes
DISK = 2e9  # bytes a second that all GPUs of a run write together


class Model(NamedTuple):
    """Parameters, layers, width, and width of keys and values together."""

    name: str
    parameters: float
    layers: int
    width: int
    cached: int


# Qwen2.5's published shapes
MODELS = (
    Model("0.5B", 0.49e9, 24, 896, 256),
    Model("7B", 7.6e9, 28, 3584, 1024),
    Model("32B", 32.5e9, 64, 5120, 2048),
)
GPUS = (1, 8, 64, 256, 1000)


class Training(NamedTuple):
    """Tokens a second of all GPUs, bytes a GPU, what limits it, and tokens of an update that keep all busy."""

    way: str
    tokens: float
    memory: float
    limit: str
    busy_at: float


def train(model: Model, gpus: int) -> Training:
    """DDP where it fits, FSDP2 otherwise."""
    activations = KEPT * model.layers * model.width * TOKENS
    whole = 16 * model.parameters + activations
    if whole <= HBM:
        way, memory, moved = "DDP", whole, 4 * model.parameters if gpus > 1 else 0.0
    else:
        way, memory, moved = "FSDP2", 16 * model.parameters / gpus + activations, 8 * model.parameters
    if memory > HBM:
        # activations recomputed: inputs of layers stay, a third more operations
        memory = memory - activations + 2 * model.layers * model.width * TOKENS
        way += ", recomputing"
    compute = 6 * model.parameters * TOKENS * (4 / 3 if "recomputing" in way else 1) / (MFU * PEAK)
    network = moved / (INSIDE if gpus <= 8 else BETWEEN)
    limit = "memory" if memory > HBM else "network" if network > compute else "computing"
    tokens = 0.0 if memory > HBM else gpus * TOKENS / max(compute, network)
    return Training(way, tokens, memory, limit, gpus * TOKENS * min(1.0, network / compute))


class Sampling(NamedTuple):
    """Tokens a second of all GPUs, rows on each group, GPUs of a group, and bytes a second on disk."""

    tokens: float
    rows: int
    group: int
    written: float


def sample(model: Model, gpus: int) -> Sampling:
    """As many rows as memory holds, 256 at most; a model over as few GPUs as hold it."""
    weights = 2 * model.parameters
    group = next(size for size in (1, 2, 4, 8) if weights < 0.8 * size * HBM)
    per_row = 2 * 2 * model.layers * model.cached / 2 * LENGTH / 2
    rows = int(min(256, (0.9 * group * HBM - weights) / per_row))
    step = (weights + rows * per_row) / (group * BANDWIDTH)
    tokens = gpus / group * rows / step if gpus >= group else 0.0
    return Sampling(tokens, rows, group, TEXT * tokens)


def tables() -> Iterator[dict[str, Any]]:
    """A row for each model and number of GPUs."""
    for model in MODELS:
        for gpus in GPUS:
            trained, sampled = train(model, gpus), sample(model, gpus)
            yield {
                "model": model.name,
                "gpus": gpus,
                "way": trained.way,
                "trained_tokens_per_second": round(trained.tokens),
                "gigabytes_a_gpu": round(trained.memory / 1e9, 1),
                "limit": trained.limit,
                "busy_at_tokens_an_update": round(trained.busy_at),
                "sampled_tokens_per_second": round(sampled.tokens),
                "rollouts_per_second": round(sampled.tokens / LENGTH, 2),
                "megabytes_written_per_second": round(sampled.written / 1e6, 2),
                "seconds_a_checkpoint": round(4 * model.parameters / DISK, 1),
            }


def main() -> None:
    """Print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    rows = list(tables())
    if parser.parse_args().json:
        print(json.dumps(rows))
        return
    print("| " + " | ".join(name.replace("_", " ") for name in rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print(
            "| " + " | ".join(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()) + " |"
        )


if __name__ == "__main__":
    main()
