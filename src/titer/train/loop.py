"""The SFT loop, top to bottom.

    result = train(model, tokenizer, samples, Train(epochs=3), out=Path("sft"), seed=0)
    result.last        # sft/checkpoints/step-000300

`out` holds `checkpoints/step-N` on the log grid, `log.jsonl` (a row an update), `probe.jsonl` (token accuracy on the
fixed training subset), `unseen.jsonl` (the same on samples that are not trained on), `endpoint.json` where the traces
were learned before the budget was spent, and `state/`, from which the same call goes on after a crash.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, gather_object, set_seed
from torch import Tensor

from titer.errors import InputError
from titer.objectives import Objective, objective, of_function
from titer.processes import without_accelerator
from titer.recipe import Train
from titer.store.checkpoints import checkpoint_path, kept_checkpoints
from titer.train.aim import take_aim
from titer.train.disk.claim import claim_folder
from titer.train.disk.state import (
    Log,
    due,
    load_state,
    read_probes,
    read_stop,
    save_checkpoint,
    save_state,
    write_stop,
)
from titer.train.length.budget import in_updates
from titer.train.length.endpoint import (
    cooled,
    find_stop,
    plan_probes,
    plan_unseen,
    warm_up,
    warn_of_no_endpoint,
    warn_of_repetition,
)
from titer.train.length.schedule import log_grid, rate
from titer.train.optimizers import make_optimizers
from titer.train.precision import in_bf16, recompute_activations
from titer.train.scorer import Scorer, freeze_unread, refuse_leaks
from titer.train.tokens.batches import SampleOrder, micro_batches, to_device
from titer.train.tokens.encode import Sample
from titer.train.watch.progress import Bar
from titer.train.watch.telemetry import Telemetry
from titer.train.watch.trackers import require_tracker, tracked_settings
from titer.train.zero import WHOLE, backward, is_zero, require_deepspeed, settle


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
    kinds: Sequence[str] = (),
    unseen: Sequence[Sample] = (),
    f: Objective | Callable[[Tensor], Tensor] | None = None,
) -> Result:
    """Fine-tune `model` in place on tokenized samples; goes on from `out/state` when that is there.

    A training that has ended is returned as it stands, and `model` left alone. `kinds` are the names of the samples'
    kinds. The loss on `unseen` samples, which are not trained on, is followed at every checkpoint. `f` takes the place
    of `settings.objective`: an objective of one's own, a function of p (a tensor).

    The loss of an update is the sum over its trained tokens divided by their number, or by the sum of their weights
    (`settings.normalize`), over all processes and micro-batches, so that neither changes it.

    Raises InputError: a `batch_size` below the number of processes, `repetition` (a run and sft plan it), a loss that
    is not finite, an `out` that holds another training, a state that cannot be read, a tracker that is not installed,
    packing for a model in which samples would see each other, and what `in_updates` and `take_aim` refuse.
    """
    require_tracker(settings)
    require_deepspeed()
    f = f if f is None or isinstance(f, Objective) else of_function(getattr(f, "__name__", type(f).__name__), f)
    AcceleratorState._reset_state()  # its precision would otherwise be that of the first training in this process
    accelerator = Accelerator(
        cpu=without_accelerator(),
        mixed_precision="bf16" if in_bf16(settings) else "no",
        log_with=_tracker(settings),
        project_dir=out,
    )
    stage = settle(accelerator, settings)
    set_seed(seed)
    rank, world = accelerator.process_index, accelerator.num_processes
    if settings.batch_size < world:
        raise InputError(
            f"{settings.batch_size} samples an update for {world} processes",
            field="train.batch_size",
            remedy="raise it to at least one a process",
        )
    if settings.repetition:
        raise InputError(
            "repetition is planned in a run or by sft only", field="train.repetition", remedy="leave it out"
        )
    settings = in_updates(settings, samples)
    order, updates = SampleOrder(len(samples), settings.batch_size, seed), settings.updates or 0
    claim_folder(accelerator, out, settings, seed, model, samples, f)
    stop = read_stop(out)
    if (last := checkpoint_path(out, stop.end if stop else updates)).exists():
        return Result(kept_checkpoints(out), last, stop.end if stop else updates)

    model.to(accelerator.device)
    freeze_unread(model)
    if settings.packing:
        refuse_leaks(model, samples)
    aim = take_aim(settings, model, tokenizer, samples, out=out, seed=seed, f=f, writes=accelerator.is_main_process)
    f, samples = aim.objective, aim.samples
    probes = plan_probes(
        updates=updates, batch_size=settings.batch_size, samples=len(samples), most=settings.probe_samples
    )
    warmup, per_epoch = settings.warmup, len(samples) / settings.batch_size
    if settings.stop == "endpoint":
        warn_of_no_endpoint(probes, updates)
        warmup = warm_up(settings.warmup, updates=updates, per_epoch=per_epoch)
    unseen = unseen[: plan_unseen(updates=updates, batch_size=settings.batch_size)]
    subset = probe_subset(samples, probes.size, seed) if settings.probe_samples else []
    base = deepcopy(model).eval().requires_grad_(False) if f.divergence else None
    if settings.gradient_checkpointing:
        recompute_activations(model)
    model.train()
    student = Scorer(model, base=base)
    student.whole_logits |= stage >= WHOLE  # the head's weights are whole inside the model's own forward alone
    scorer, *optimizers = accelerator.prepare(student, *make_optimizers(model, settings))
    del model, student  # from here on they are the scorer's
    if settings.tracker != "none":
        accelerator.init_trackers("titer", config=tracked_settings(settings))
    first = load_state(accelerator, scorer, optimizers, out, seed)
    probed = read_probes(out, before=first)
    accelerator.wait_for_everyone()
    log = Log(out / "log.jsonl", keep_to=first, writes=accelerator.is_main_process)
    # a probe of update `first` itself comes again: it is taken before the update that follows
    probe_log = Log(out / "probe.jsonl", keep_to=first - 1, writes=accelerator.is_main_process)
    unseen_log = Log(out / "unseen.jsonl", keep_to=first - 1, writes=accelerator.is_main_process and bool(unseen))
    saved_at = began = time.monotonic()
    seen = 0

    with Bar(updates, first, shown=progress and accelerator.is_main_process) as bar:
        for step in count(first):
            end = stop.end if stop else updates
            if subset and probes.at(step, end):
                hits, mean_nll = token_accuracy(accelerator, scorer, subset, settings)
                probe_log.write({"step": step, "token_accuracy": hits, "nll": mean_nll})
                bar.probed(hits)
                probed.append((step, hits))
                if settings.stop == "endpoint" and not stop and step < updates:
                    stop = find_stop(probed, updates=updates, per_epoch=per_epoch)
                    end = stop.end if stop else updates
                    write_stop(accelerator, out, stop)
                elif settings.stop == "budget":
                    warn_of_repetition(probed, updates)
            if step in log_grid(end) and unseen:
                hits, mean_nll = token_accuracy(accelerator, scorer, unseen, settings)
                unseen_log.write({"step": step, "token_accuracy": hits, "nll": mean_nll})
            if step in log_grid(end)[1:]:
                save_checkpoint(accelerator, scorer, tokenizer, checkpoint_path(out, step))
            if step == end:
                break
            # never before an update of this process: there is nothing to lose yet, and torch, asked for the state of an
            # optimizer that has none, takes a step of zeros, which Adam counts
            if step > first and due(accelerator, saved_at, settings.save_seconds):
                save_state(accelerator, scorer, optimizers, out, step)
                saved_at = time.monotonic()

            learning_rate = rate(
                step=step,
                updates=updates,
                peak=settings.learning_rate,
                warmup=warmup,
                schedule=settings.schedule,
                cooldown=settings.cooldown,
            )
            learning_rate = cooled(learning_rate, step, stop)
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
            telemetry = Telemetry(len(kinds), accelerator.device)
            passes = passes_of_all(accelerator, len(mine))
            for i in range(passes):
                micro = to_device(mine[min(i, len(mine) - 1)], accelerator.device)
                scorer.require_backward_grad_sync = i == passes - 1  # DDP averages once an update
                # DDP and FSDP take the mean over processes where the sum is wanted
                factor = world / total if i < len(mine) else 0.0
                scores = scorer(micro, f, aim.token_weights(micro.targets_N), factor)
                backward(accelerator, scorer, scores.loss, last=i == passes - 1)
                if i < len(mine):
                    telemetry.add(scores, micro.kinds_N)
            found = telemetry.reduced(accelerator, total)
            if not math.isfinite(found["loss"] + found["nll"]):
                raise _no_number(found, math.nan, step, without_numbers(scorer, update, settings) or update)
            if found["effective_tokens"] == 0 and (step == 0 or settings.normalize == "weights"):
                raise InputError(
                    f"no token of update {step + 1} counts anything under {f.name}: traces {_names(update)}",
                    field="train.objective",
                    remedy="use one that listens to more tokens",
                )
            if settings.normalize == "weights":
                share = total / found["effective_tokens"]
                scale_gradients(scorer, share)
                found["loss"] *= share
            if is_zero(accelerator):
                scorer.step()  # clips and steps; the two calls below then only ask for the norm
            norm = accelerator.clip_grad_norm_(scorer.parameters(), settings.clip)
            if not math.isfinite(norm):
                raise _no_number(found, float(norm), step, update)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

            seen += sum(len(sample.ids) for sample in update)
            row = {
                "step": step + 1,
                "epoch": round((step + 1) * settings.batch_size / len(samples), 4),
                **found,
                "learning_rate": learning_rate,
                "grad_norm": float(norm),
                "trained_tokens": total,
                "tokens_per_second": round(seen / (time.monotonic() - began), 1),
            }
            log.write(row)
            accelerator.log({key: value for key, value in row.items() if not isinstance(value, list)}, step=step + 1)
            bar.updated(row)

    # DDP's reducer goes before its process group: as the group's last owner it would wait, holding the interpreter's
    # lock, for a thread of the group's that wants it
    scorer, *optimizers = accelerator.free_memory(scorer, *optimizers)
    accelerator.end_training()
    if accelerator.is_main_process:
        shutil.rmtree(out / "state", ignore_errors=True)
    return Result(kept_checkpoints(out), checkpoint_path(out, end), end)


def passes_of_all(accelerator: Accelerator, mine: int) -> int:
    """Forward passes that this process takes part in: where weights are sharded every pass gathers them from all
    processes, so that those with fewer micro-batches than others repeat one that counts nothing."""
    if accelerator.distributed_type not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return mine
    return max(int(count) for count in gather_object([mine]))


def scale_gradients(scorer: Any, factor: float) -> None:
    """Multiply all gradients: the sum of the weights is known only after the last micro-batch."""
    for parameter in scorer.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


@torch.no_grad()
def without_numbers(scorer: Any, samples: Sequence[Sample], settings: Train) -> list[Sample]:
    """Those of the samples to which the model gives a log p that is no number."""
    f, device = objective("nll"), next(scorer.parameters()).device
    alone = [next(iter(micro_batches([one], tokens=settings.micro_tokens, packing=False))) for one in samples]
    found = [scorer(to_device(micro, device), f).logp_N.isfinite().all().item() for micro in alone]
    return [sample for sample, finite in zip(samples, found, strict=True) if not finite]


@torch.no_grad()
def token_accuracy(
    accelerator: Accelerator, scorer: Any, subset: Sequence[Sample], settings: Train
) -> tuple[float, float]:
    """Share of trained tokens whose most likely prediction is the target, teacher-forced, and their mean −log p.

    Measured on a fixed subset (arXiv 2602.11149): a running average over training batches is not it.
    """
    f = objective("nll")
    scorer.eval()
    sums = torch.zeros(2, device=accelerator.device, dtype=torch.float64)
    mine = list(subset)[accelerator.process_index :: accelerator.num_processes]
    micros = list(micro_batches(mine or list(subset[:1]), tokens=settings.micro_tokens, packing=settings.packing))
    for i in range(passes_of_all(accelerator, len(micros))):
        scores = scorer(to_device(micros[min(i, len(micros) - 1)], accelerator.device), f)
        if mine and i < len(micros):
            sums += torch.stack([scores.hit_N.sum(), -scores.logp_N.sum()])
    scorer.train()
    hits, mean_nll = (accelerator.reduce(sums, "sum") / sum(sample.trained for sample in subset)).tolist()
    return hits, mean_nll


def probe_subset(samples: Sequence[Sample], size: int, seed: int) -> list[Sample]:
    """The fixed training subset: `size` samples drawn once."""
    chosen = np.random.default_rng([seed, 1]).permutation(len(samples))[:size]
    return [samples[i] for i in sorted(chosen)]


def _tracker(settings: Train) -> str | None:
    return None if settings.tracker == "none" else settings.tracker


def _no_number(found: Mapping[str, Any], norm: float, step: int, culprits: Sequence[Sample]) -> InputError:
    return InputError(
        f"loss {found['loss']}, mean −log p {found['nll']}, gradient norm {norm} at update {step + 1}, "
        f"traces {_names(culprits)}",
        remedy="look at these traces and at the model's weights, or lower train.learning_rate",
    )


def _names(samples: Sequence[Sample]) -> str:
    return ", ".join(sample.trace_id for sample in samples[:3]) + (", …" if len(samples) > 3 else "")
