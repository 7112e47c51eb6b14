"""The SFT loop, top to bottom.

    result = train(model, tokenizer, samples, Train(epochs=3), out=Path("sft"), seed=0)
    result.last        # sft/checkpoints/step-000300

`out` holds `checkpoints/step-N` on the log grid, `log.jsonl` (a row an update), `probe.jsonl` (token accuracy on
the fixed training subset) and `state/`, from which the same call goes on after a crash.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from titer.errors import InputError
from titer.objectives import TokenScores, objective, score_tokens
from titer.objectives.family import Objective
from titer.recipe import Train
from titer.train.batches import MicroBatch, SampleOrder, micro_batches
from titer.train.encode import Sample
from titer.train.optimizers import make_optimizers
from titer.train.progress import Progress
from titer.train.schedule import log_grid, rate
from titer.train.state import Log, claim_folder, due, load_state, save_checkpoint, save_state
from titer.train.trackers import require_tracker, tracked_settings


class Result(NamedTuple):
    """What a training left behind: checkpoints by update, the last of them, the number of updates."""

    checkpoints: dict[int, Path]
    last: Path
    updates: int


def train(  # noqa: PLR0912, PLR0915 - one flat loop, long on purpose
    model: Any,
    tokenizer: Any,
    samples: Sequence[Sample],
    settings: Train,
    *,
    out: Path,
    seed: int = 0,
    progress: bool = True,
) -> Result:
    """Fine-tune `model` in place on tokenized samples; goes on from `out/state` when that is there.

    A training that has ended is returned as it stands, and `model` left alone.

    The loss of an update is the sum over its trained tokens divided by their number over all processes and
    micro-batches, so that neither changes it. Raises InputError: fewer samples than processes, a loss that is not
    finite, an `out` that holds another training, a tracker that is not installed.
    """
    require_tracker(settings)
    AcceleratorState._reset_state()  # its precision would otherwise be that of the first training in this process
    accelerator = Accelerator(mixed_precision=_precision(settings), log_with=_tracker(settings), project_dir=out)
    set_seed(seed)
    rank, world = accelerator.process_index, accelerator.num_processes
    if settings.batch_size < world:
        raise InputError(
            f"{settings.batch_size} samples an update for {world} processes",
            field="train.batch_size",
            remedy="raise it to at least one a process",
        )
    f = objective(settings.objective)
    order = SampleOrder(len(samples), settings.batch_size, seed)
    updates = settings.updates or order.updates(settings.epochs)
    grid = log_grid(updates)
    probes = sorted({*grid, *(round(updates * i / 8) for i in range(9))})
    subset = probe_subset(samples, settings.probe_samples, seed)
    checkpoints = {step: checkpoint_path(out, step) for step in grid[1:]}
    claim_folder(accelerator, out, settings, seed, model, samples)
    if checkpoints[updates].exists():
        return Result(checkpoints, checkpoints[updates], updates)

    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    model, *optimizers = accelerator.prepare(model, *make_optimizers(model, settings))
    if settings.tracker != "none":
        accelerator.init_trackers("titer", config=tracked_settings(settings))
    first = load_state(accelerator, out)
    log = Log(out / "log.jsonl", keep_before=first, writes=accelerator.is_main_process)
    probe_log = Log(out / "probe.jsonl", keep_before=first, writes=accelerator.is_main_process)
    bar = Progress(updates, first, shown=progress and accelerator.is_main_process)
    saved_at = began = time.monotonic()
    seen = 0

    for step in range(first, updates + 1):
        if subset and step in probes:
            hits, mean_nll = token_accuracy(accelerator, model, subset, settings)
            probe_log.write({"step": step, "token_accuracy": hits, "nll": mean_nll})
            bar.probed(hits)
        if step in grid[1:]:
            save_checkpoint(accelerator, model, tokenizer, checkpoint_path(out, step))
        if step == updates:
            break
        if due(accelerator, saved_at, settings.save_seconds):
            save_state(accelerator, out, step)
            saved_at = time.monotonic()

        learning_rate = rate(
            step=step,
            updates=updates,
            peak=settings.learning_rate,
            warmup=settings.warmup,
            schedule=settings.schedule,
            cooldown=settings.cooldown,
        )
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = learning_rate
        update = sorted((samples[i] for i in order.of_update(step)), key=lambda sample: len(sample.ids))
        total = sum(sample.trained for sample in update)
        mine = list(
            micro_batches(
                update[rank::world],
                tokens=settings.micro_tokens,
                packing=settings.packing,
                pad=tokenizer.pad_token_id or 0,
            )
        )
        sums = torch.zeros(3, device=accelerator.device, dtype=torch.float64)  # loss, −log p, hits
        for i, micro in enumerate(mine):
            model.require_backward_grad_sync = i == len(mine) - 1  # DDP averages once an update
            scores = score_batch(model, to_device(micro, accelerator.device), f)
            # DDP takes the mean over processes where the sum is wanted
            accelerator.backward(scores.loss_N.sum() * (world / total))
            sums += torch.stack([scores.loss_N.detach().sum(), -scores.logp_N.sum(), scores.hit_N.sum()])
        norm = accelerator.clip_grad_norm_(model.parameters(), settings.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

        loss, mean_nll, hits = (accelerator.reduce(sums, "sum") / total).tolist()
        if not math.isfinite(loss) or not math.isfinite(float(norm)):
            raise InputError(
                f"loss {loss} and gradient norm {float(norm)} at update {step}, traces {_names(update)}",
                remedy="look at these traces, or lower train.learning_rate",
            )
        seen += sum(len(sample.ids) for sample in update)
        row = {
            "step": step + 1,
            "epoch": round((step + 1) * settings.batch_size / len(samples), 4),
            "loss": loss,
            "nll": mean_nll,
            "token_accuracy": hits,
            "learning_rate": learning_rate,
            "grad_norm": float(norm),
            "trained_tokens": total,
            "tokens_per_second": round(seen / (time.monotonic() - began), 1),
        }
        log.write(row)
        accelerator.log(row, step=step + 1)
        bar.updated(row)

    bar.close()
    accelerator.end_training()
    if accelerator.is_main_process:
        shutil.rmtree(out / "state", ignore_errors=True)
    return Result(checkpoints, checkpoints[updates], updates)


def score_batch(model: Any, batch: MicroBatch, f: Objective) -> TokenScores:
    """Forward pass of one micro-batch; logits only in the columns where something is trained."""
    columns_C, place_N = torch.unique(batch.columns_N, return_inverse=True)
    out = model(input_ids=batch.ids_BT, position_ids=batch.positions_BT, use_cache=False, logits_to_keep=columns_C)
    return score_tokens(out.logits[batch.rows_N, place_N], batch.targets_N, f)


@torch.no_grad()
def token_accuracy(
    accelerator: Accelerator, model: Any, subset: Sequence[Sample], settings: Train
) -> tuple[float, float]:
    """Share of trained tokens whose most likely prediction is the target, teacher-forced, and their mean −log p.

    Measured on a fixed subset (arXiv 2602.11149): a running average over training batches is not it.
    """
    f = objective("nll")
    model.eval()
    sums = torch.zeros(2, device=accelerator.device, dtype=torch.float64)
    mine = list(subset)[accelerator.process_index :: accelerator.num_processes]
    for micro in micro_batches(mine, tokens=settings.micro_tokens, packing=settings.packing):
        scores = score_batch(accelerator.unwrap_model(model), to_device(micro, accelerator.device), f)
        sums += torch.stack([scores.hit_N.sum(), -scores.logp_N.sum()])
    model.train()
    hits, mean_nll = (accelerator.reduce(sums, "sum") / sum(sample.trained for sample in subset)).tolist()
    return hits, mean_nll


def probe_subset(samples: Sequence[Sample], size: int, seed: int) -> list[Sample]:
    """The fixed training subset: `size` samples drawn once."""
    chosen = np.random.default_rng([seed, 1]).permutation(len(samples))[:size]
    return [samples[i] for i in sorted(chosen)]


def to_device(batch: MicroBatch, device: torch.device) -> MicroBatch:
    """The micro-batch on the device that trains."""
    return MicroBatch(*(tensor.to(device) for tensor in batch))


def checkpoint_path(out: Path, step: int) -> Path:
    """Where the checkpoint after `step` updates stands."""
    return out / "checkpoints" / f"step-{step:06d}"


def _precision(settings: Train) -> str:
    if settings.precision == "auto":
        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
    return {"fp32": "no", "bf16": "bf16"}[settings.precision]


def _tracker(settings: Train) -> str | None:
    return None if settings.tracker == "none" else settings.tracker


def _names(samples: Sequence[Sample]) -> str:
    return ", ".join(sample.trace_id for sample in samples[:3]) + (", …" if len(samples) > 3 else "")
