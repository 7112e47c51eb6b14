"""GRPO through TRL, on problems that the model solves now and then (arXiv 2402.03300).

trained = grpo(loaded, problems, Rl(), out=Path("rl"), seed=0, identity=model_identity("lab"), reference="lab")
trained.checkpoint, trained.never_solved

TRL has the objective, the optimizer and the loop. Ours are the rollouts that it trains on (`titer.stages.rl.sampling`):
drawn by titer's engine unless the settings say otherwise, graded by `titer.verify` in three values (what could not be
graded is left out of its group's mean and moves nothing), groups without anything to compare replaced.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.models import Loaded, as_folder, load_model
from titer.processes import has_bf16, launched
from titer.recipe import Rl
from titer.records import Problem, holds_any, read_rollouts, write_records
from titer.rollouts.claim import shown
from titer.stages.rl.groups import GroupLog, Queue, barren, never_solved
from titer.stages.rl.sampling import Batch, Draws
from titer.stages.rl.sources import source_of
from titer.stages.rl.vllm import answering, base_url, check_engine, check_server, group_port
from titer.store import content_hash, publish, read_json, write_json
from titer.store.checkpoints import checkpoint_path
from titer.store.layout import as_object
from titer.verify import Grader

REWARD = "verified"  # the column in which a rollout's reward comes to TRL
LOGGED = {
    "loss": "loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "entropy": "entropy",
    "completions/mean_length": "tokens",
    "completions/clipped_ratio": "cut",
    "clip_ratio/region_mean": "clipped_ratio",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "kl": "kl_penalty",
    "sampling/sampling_logp_difference/mean": "mismatch",
    "step_time": "seconds",
}
"""What TRL logs, and what it is called here."""


class Trained(NamedTuple):
    """The last checkpoint, its updates, why it ended before all ("": it did not), and the problems of which no rollout
    was ever right."""

    checkpoint: str
    updates: int
    stopped: str
    never_solved: list[str]


def grpo(
    loaded: Loaded,
    problems: Sequence[Problem],
    settings: Rl,
    *,
    out: Path,
    seed: int,
    identity: str,
    reference: str,
    progress: bool = False,
) -> Trained:
    """Train the model, in place, on the problems; goes on in `out` where an earlier call stopped.

    Works in one process. `identity` says which weights the model begins with, `reference` names the model towards which
    KL is measured. Writes `log.jsonl`, `groups.jsonl`, `failures.jsonl` (the rollouts of groups that failed as a whole)
    and `checkpoints/`. Raises InputError without problems, without TRL, in several processes, when another training
    stands in `out`, and where vLLM is asked for and is not there, cannot be used here, or fails.
    """
    require_trl()
    _refuse_processes()
    if not problems:
        raise InputError("no problem to learn from", field="rl", remedy="give problems of the middle band")
    if not (out / "result.json").exists():
        check_engine(settings)
        check_server(settings, loaded.model.config)
    _claim(out, problems, settings, seed, identity)
    if (done := _finished(out)) is not None:
        return done
    state = _last_state(out / "state")
    begun = _step_of(state) if state else 0
    log = GroupLog(out / "groups.jsonl", before=begun)
    _forget_failures(out / "failures.jsonl", len(log.groups) * settings.samples)
    with Grader() as grader, _quiet(), answering(settings):
        draws = Draws(
            Queue(problems, seed),
            log,
            out / "failures.jsonl",
            grader,
            name=str(out),
            prompts=settings.prompts,
            samples=settings.samples,
            refills=settings.refills,
            cut=settings.cut,
        )
        trainer, stopped = _trainer(loaded, draws, settings, out, seed, begun, reference, progress)
        trainer.train(resume_from_checkpoint=str(state) if state else None)
    checkpoint = _save(trainer, loaded.tokenizer, out)
    result = Trained(str(checkpoint), trainer.state.global_step, stopped(), never_solved(log.groups))
    # a folder may move: its results name no path
    write_json(out / "result.json", result._replace(checkpoint=checkpoint.name)._asdict())
    shutil.rmtree(out / "state", ignore_errors=True)
    return result


class Rollouts:
    """TRL's rollout function: the batch of the update at hand, whatever prompts TRL itself has in mind."""

    def __init__(self, draws: Draws, loaded: Loaded, settings: Rl, seed: int, gauge: Gauge | None) -> None:
        """`gauge` measures the KL, where it is wanted."""
        self.draws, self.gauge, self.settings = draws, gauge, settings
        self.sample = source_of(loaded, settings, seed)
        self.figures: dict[str, float] = {}

    def __call__(self, prompts: list[Any], trainer: Any) -> dict[str, Any]:
        """Prompt and completion tokens, the sampler's log p where it is another program, and the rewards."""
        update = trainer.state.global_step
        batch = self.draws.of_update(update, lambda requests: self.sample(trainer, requests))
        assert len(batch.drawn) == len(prompts)
        self.figures = dict(batch.figures)
        if self.gauge and (update % self.settings.kl_every == 0 or update == self.settings.updates - 1):
            self.figures["kl"] = self.gauge(trainer, batch)
        logps = [one.logps for one in batch.drawn]
        return {
            "prompt_ids": [one.prompt_ids for one in batch.drawn],
            "completion_ids": [one.ids for one in batch.drawn],
            "logprobs": None if None in logps else logps,
            REWARD: batch.rewards,
        }


class Gauge:
    """KL(model ‖ reference) a token, in nats, on the model's own rollouts: a gauge of what is being forgotten.

    Estimated as TRL does, mean of r − 1 − log r with r the reference's probability over the model's (k3 of Schulman's
    "Approximating KL divergence", 2020). The reference is loaded when it is first asked for and kept.
    """

    def __init__(self, reference: str) -> None:
        """`reference` is a model's name."""
        self.name = reference
        self.loaded: Loaded | None = None

    def __call__(self, trainer: Any, batch: Batch) -> float:
        """The KL on a batch of rollouts."""
        import numpy as np

        from titer.train import Sample
        from titer.train.tokens.token_loss import token_stats

        self.loaded = self.loaded or load_model(self.name)
        samples = [Sample(str(i), one.prompt_ids + one.ids, len(one.prompt_ids)) for i, one in enumerate(batch.drawn)]
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        training = model.training
        ours, theirs = (
            np.concatenate([one.logp_N for one in token_stats(which, self.loaded.tokenizer, samples)])
            for which in (model, self.loaded.model)
        )
        model.train(training)
        return float(np.mean(np.exp(theirs - ours) - (theirs - ours) - 1))


def _trainer(
    loaded: Loaded, draws: Draws, settings: Rl, out: Path, seed: int, begun: int, reference: str, progress: bool
) -> tuple[Any, Any]:
    """TRL's trainer, and a function that says why it ended before all updates."""
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import GRPOTrainer

    from titer.train.disk.state import Log

    rollouts = Rollouts(draws, loaded, settings, seed, Gauge(reference) if settings.kl_every else None)
    log = Log(out / "log.jsonl", keep_to=begun, writes=True)
    ended: list[str] = []

    class Follow(TrainerCallback):  # type: ignore[misc]
        """Writes the log, and ends a training that has nothing to learn from any more."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if "reward" in logs:
                row = {ours: logs[theirs] for theirs, ours in LOGGED.items() if logs.get(theirs) is not None}
                log.write({"step": state.global_step, **row, **rollouts.figures})

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if barren(draws.log.groups) >= settings.patience:
                ended.append(_barren(draws, settings.patience))
                control.should_training_stop = True

    def verified(**columns: Any) -> list[float | None]:
        return list(columns[REWARD])

    config = _config(settings, out, seed, progress)
    if barren(draws.log.groups) >= settings.patience:  # it had ended, and was killed before its model stood
        ended.append(_barren(draws, settings.patience))
        config.max_steps = begun
    # TRL asks for a dataset to count prompts by; which problems come is the queue's affair
    rows = Dataset.from_dict({"prompt": [str(i) for i in range(settings.prompts)]})
    with _reference_openable(loaded.model, reference, settings):
        trainer = GRPOTrainer(
            model=loaded.model,
            reward_funcs=verified,
            args=config,
            train_dataset=rows,
            processing_class=loaded.tokenizer,
            callbacks=[Follow()],
            rollout_func=rollouts,
        )
    trainer.remove_callback(PrinterCallback)  # the log has it
    return trainer, lambda: next(iter(ended), "")


@contextlib.contextmanager
def _reference_openable(model: Any, reference: str, settings: Rl) -> Iterator[None]:
    """TRL loads its reference from where the model's configuration says that it came from: adapters and GGUF files,
    which it cannot open, are written out for it."""
    if not settings.beta or settings.lora:  # with adapters it is the model without them
        yield
        return
    weights, place = as_folder(reference), model.config.name_or_path
    model.config.name_or_path = weights.path
    try:
        yield
    finally:
        model.config.name_or_path = place


def _config(settings: Rl, out: Path, seed: int, progress: bool) -> Any:
    """The settings in TRL's words. Every update trains on rollouts of its own, once."""
    import torch
    from trl import GRPOConfig

    rows = settings.prompts * settings.samples
    micro = min(settings.micro_rows, rows)
    cuda = torch.cuda.is_available()
    vllm: dict[str, Any] = {"use_vllm": True, "vllm_mode": "colocate"}
    if settings.vllm_server:
        vllm |= {"vllm_mode": "server", "vllm_server_base_url": base_url(settings), "vllm_group_port": group_port()}
    return GRPOConfig(
        output_dir=str(out / "state"),
        max_steps=settings.updates,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=rows // micro,
        num_generations=settings.samples,
        max_completion_length=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        loss_type=settings.loss,
        beta=settings.beta,
        epsilon=settings.clip_ratio,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        warmup_steps=round(settings.warmup * settings.updates),
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        gradient_checkpointing=settings.gradient_checkpointing,
        bf16=cuda and has_bf16(),
        use_cpu=not cuda,
        seed=seed,
        logging_steps=1,
        report_to=[],
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=2,  # the older one is whole, should the newer one be cut off
        disable_tqdm=not progress,
        **(vllm if settings.generator == "vllm" else {}),
    )


def _barren(draws: Draws, updates: int) -> str:
    """Why nothing is left to learn, in words."""
    groups = draws.log.groups
    last = [group for group in groups if group.update > groups[-1].update - updates]
    solved, failed = (sum(getattr(group, name) for group in last) for name in ("solved", "failed"))
    ungraded = sum(not group.graded for group in last)
    return (
        f"no group of the last {updates} updates had right and wrong rollouts: {solved} were all right, {failed} all "
        f"wrong, {ungraded} could not be graded"
    )


def _save(trainer: Any, tokenizer: Any, out: Path) -> Path:
    """The last checkpoint in Hugging Face format, whole or not at all; adapters as peft writes them."""
    final = checkpoint_path(out, trainer.state.global_step)
    work = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    trainer.accelerator.unwrap_model(trainer.model_wrapped).save_pretrained(work, safe_serialization=True)
    tokenizer.save_pretrained(work)
    publish(work, final)
    return final


def _claim(out: Path, problems: Sequence[Problem], settings: Rl, seed: int, identity: str) -> None:
    """Say in `out` which training it holds. Raises InputError when it holds another."""
    ours = json.loads(
        json.dumps(
            {
                **settings.decisive(),
                "seed": seed,
                "model": identity,
                "problems": content_hash([shown(problem) for problem in problems]),
            }
        )
    )
    file = out / "training.json"
    theirs = ours
    if file.exists():
        theirs = read_json(file, as_object, remedy="give another output folder, or remove this one")
    if changed := [key for key, value in ours.items() if theirs.get(key) != value]:
        raise InputError(
            f"another training stands here ({', '.join(changed)} differ)",
            file=out,
            remedy="give another output folder, or remove this one",
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, ours)


def _finished(out: Path) -> Trained | None:
    file = out / "result.json"
    if not file.exists():
        return None
    done = read_json(file, lambda found: Trained(**found), remedy="remove it, and RL goes on from its last saved state")
    return done._replace(checkpoint=str(out / "checkpoints" / done.checkpoint))


def _last_state(folder: Path) -> Path | None:
    """The newest state that was written to its end; what TRL writes last is the trainer's own."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda one: -int(one.name.removeprefix("checkpoint-"))):
        with contextlib.suppress(OSError, ValueError):
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            return path
    return None


def _step_of(state: Path) -> int:
    return int(state.name.removeprefix("checkpoint-"))


def _forget_failures(file: Path, drawn: int) -> None:
    """Leave out the rollouts that a resumed run draws again."""
    if holds_any(file):
        write_records(file, [rollout for rollout in read_rollouts(file, torn="drop") if rollout.sample < drawn])


@contextlib.contextmanager
def _quiet() -> Any:
    """TRL calls its rollout functions experimental, and names what transformers has renamed; its version is bounded."""
    before = os.environ.get("TRL_EXPERIMENTAL_SILENCE")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    logging.getLogger("transformers.trainer_utils").setLevel(logging.ERROR)  # on which file systems it sorts how
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if before is None:
            del os.environ["TRL_EXPERIMENTAL_SILENCE"]
        else:
            os.environ["TRL_EXPERIMENTAL_SILENCE"] = before


def _refuse_processes() -> None:
    """Groups are drawn, refilled and logged by one process."""
    if (processes := launched()) > 1:
        raise InputError(
            f"{processes} processes for RL, which works in one",
            field="rl",
            remedy="start it without a launcher; rl.vllm_server samples elsewhere",
        )


def require_trl() -> None:
    """Raises InputError where TRL is not installed."""
    import importlib.util

    if importlib.util.find_spec("trl") is None:
        raise InputError("RL needs the trl package", field="rl", remedy="pip install 'titer[rl]'")
