from __future__ import annotations

import functools
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from training import TOKENIZER, lab_samples, tiny_model
from transformers import AutoModelForCausalLM, Gemma3Config, GPT2Config, GPT2LMHeadModel

from shared import Killed
from titer.errors import InputError
from titer.models import add_lora, context_length, load_model
from titer.recipe import Lora, Train
from titer.store.atomic import publish
from titer.train import loop as loop_module
from titer.train import train
from titer.train.disk.state import read_log
from titer.train.optimizers import make_optimizers

SETTINGS = Train(updates=12, batch_size=4, learning_rate=3e-3, micro_tokens=500, save_seconds=1e-6, probe_samples=6)


def test_training_learns_and_leaves_what_it_promises(tmp_path: Path) -> None:
    result = train(tiny_model(), TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False)
    log, probe = read_log(tmp_path / "log.jsonl"), read_log(tmp_path / "probe.jsonl")
    assert [row["step"] for row in log] == list(range(1, 13))
    assert log[-1]["loss"] < log[0]["loss"] and probe[-1]["token_accuracy"] > probe[0]["token_accuracy"]
    assert sorted(result.checkpoints) == [10, 12] and result.last.name == "step-000012"
    reloaded = load_model(str(result.last))
    assert reloaded.tokenizer.chat_template == TOKENIZER.chat_template


def test_a_run_killed_in_the_third_epoch_ends_with_the_same_weights_and_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = lab_samples(8)  # 2 updates an epoch, so update 5 is in the third
    whole = tiny_model()
    train(whole, TOKENIZER, samples, SETTINGS, out=tmp_path / "whole", progress=False)

    def die(*, step: int, **rest: object) -> float:
        if step == 5:
            raise Killed
        return original(step=step, **rest)  # type: ignore[arg-type]

    original = loop_module.rate
    monkeypatch.setattr(loop_module, "rate", die)
    with pytest.raises(Killed):
        train(tiny_model(), TOKENIZER, samples, SETTINGS, out=tmp_path / "cut", progress=False)
    monkeypatch.setattr(loop_module, "rate", original)
    resumed = tiny_model()
    train(resumed, TOKENIZER, samples, SETTINGS, out=tmp_path / "cut", progress=False)

    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    for log in ("log.jsonl", "probe.jsonl"):
        kept = [
            [{k: v for k, v in row.items() if k != "tokens_per_second"} for row in read_log(tmp_path / run / log)]
            for run in ("whole", "cut")
        ]
        assert kept[0] == kept[1]


def test_refuses_a_folder_that_holds_another_training(tmp_path: Path) -> None:
    first = train(tiny_model(), TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False)
    other = SETTINGS.model_copy(update={"learning_rate": 1e-4})
    for change, what in (
        ({"settings": other}, "learning_rate"),
        ({"seed": 5}, "seed"),
        ({"model": tiny_model(seed=9)}, "model"),
        ({"samples": lab_samples(8)[::-1]}, "traces"),
    ):
        call: dict[str, Any] = {"model": tiny_model(), "samples": lab_samples(8), "settings": SETTINGS, **change}
        with pytest.raises(InputError, match=f"another training stands here \\({what} differ"):
            train(tokenizer=TOKENIZER, out=tmp_path, progress=False, **call)
    weights = first.last / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert train(tiny_model(), TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False) == first
    assert weights.stat().st_mtime_ns == before and not (tmp_path / "state").exists()


def test_what_a_refusal_advises_can_be_done_in_the_same_folder(tmp_path: Path) -> None:
    nothing = SETTINGS.model_copy(update={"objective": "nll@p>=0.9999999@p<=0.99999999"})
    with pytest.raises(InputError):
        train(tiny_model(), TOKENIZER, lab_samples(8), nothing, out=tmp_path, progress=False)
    assert train(tiny_model(), TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False).last.exists()


@pytest.mark.parametrize("newest", [".state.tmp", ".state.old"])
def test_a_kill_between_the_renames_of_a_state_costs_nothing(
    newest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"updates": 6, "save_seconds": 1e-9})

    def killed(work: Path, final: Path) -> None:
        publish(work, final)
        if json.loads((final / "step.json").read_text())["step"] == 4:
            final.rename(final.with_name(newest))
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("titer.train.disk.state.publish", killed)
        train(tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path / "cut", progress=False)
    train(cut := tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path / "cut", progress=False)
    train(whole := tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path / "whole", progress=False)
    assert all(torch.equal(weight, cut.state_dict()[name]) for name, weight in whole.state_dict().items())
    steps = [row["step"] for row in read_log(tmp_path / "cut" / "log.jsonl")]
    assert steps == [row["step"] for row in read_log(tmp_path / "whole" / "log.jsonl")]


def test_a_refusal_says_how_the_traces_differ(tmp_path: Path) -> None:
    samples = lab_samples(8)
    train(tiny_model(), TOKENIZER, samples, SETTINGS, out=tmp_path, progress=False)
    other = samples[1]._replace(ids=[*samples[1].ids[:-1], 5])
    added = samples[2]._replace(trace_id="added")
    for changed, what in (
        (samples[::-1], "the same ones in another order"),
        ([*samples[2:], added, other], f"1 new (added), 1 gone ({samples[0].trace_id}), 1 changed ({other.trace_id})"),
        (samples[4:], f"4 gone ({', '.join(sample.trace_id for sample in samples[:3])}, …)"),
    ):
        with pytest.raises(InputError, match=re.escape(f"(traces differ: {what})")):
            train(tiny_model(), TOKENIZER, changed, SETTINGS, out=tmp_path, progress=False)


def test_lora_trains_adapters_only_and_loads_merged(tmp_path: Path) -> None:
    base = tiny_model()
    base.save_pretrained(tmp_path / "base")
    TOKENIZER.save_pretrained(tmp_path / "base")
    loaded = load_model(str(tmp_path / "base"))
    model = add_lora(loaded.model, Lora(rank=4))
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    result = train(model, TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path / "out", progress=False)
    assert json.loads((result.last / "adapter_config.json").read_text())["r"] == 4
    merged = load_model(str(result.last)).model
    ids = torch.tensor([lab_samples(8)[0].ids])
    with torch.no_grad():
        expected, got = model(ids).logits, merged(ids).logits
    assert torch.allclose(expected, got, atol=1e-5)
    assert not torch.allclose(got, base(ids).logits, atol=1e-3)


def test_muon_trains(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"optimizer": "muon"})
    train(tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False)
    log = read_log(tmp_path / "log.jsonl")
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]


def test_muon_leaves_look_up_tables_to_adamw_whatever_they_are_called() -> None:
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, n_positions=32)
    model = GPT2LMHeadModel(config)
    muon, adamw = make_optimizers(model, SETTINGS.model_copy(update={"optimizer": "muon"}))
    inner = {id(p) for group in muon.param_groups for p in group["params"]}
    assert not inner & {id(model.transformer.wte.weight), id(model.transformer.wpe.weight)}
    assert id(model.transformer.h[0].mlp.c_fc.weight) in inner
    every = [p for optimizer in (muon, adamw) for group in optimizer.param_groups for p in group["params"]]
    assert len(every) == len({id(p) for p in every}) == len(list(model.parameters()))


def test_stops_at_a_loss_that_is_not_finite(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    before = deepcopy(model.model.embed_tokens.weight)
    with pytest.raises(InputError, match="loss nan, .* at update 1, traces countdown"):
        train(model, TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False)
    assert torch.equal(model.model.embed_tokens.weight, before)  # no step was taken


def test_refuses_deepspeed_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr("accelerate.utils.is_deepspeed_available", lambda: False)
    with pytest.raises(InputError, match="pip install deepspeed, or use fsdp2"):
        train(tiny_model(), TOKENIZER, lab_samples(4), Train(updates=1, batch_size=4), out=tmp_path, progress=False)


def test_refuses_fewer_samples_an_update_than_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module.Accelerator, "num_processes", property(lambda _: 8))
    with pytest.raises(InputError, match="4 samples an update for 8 processes"):
        train(tiny_model(), TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path, progress=False)


def test_bf16_keeps_fp32_weights_and_learns(tmp_path: Path) -> None:
    model = tiny_model()
    settings = SETTINGS.model_copy(update={"precision": "bf16"})
    train(model, TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False)
    log = read_log(tmp_path / "log.jsonl")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]


def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path: Path) -> None:
    plain, saving = tiny_model(), tiny_model()
    train(plain, TOKENIZER, lab_samples(8), SETTINGS, out=tmp_path / "plain", progress=False)
    settings = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    train(saving, TOKENIZER, lab_samples(8), settings, out=tmp_path / "saving", progress=False)
    for name, weight in plain.state_dict().items():
        assert torch.allclose(weight, saving.state_dict()[name], rtol=1e-5, atol=1e-7), name


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    samples = lab_samples(8)
    stranger = samples[3]._replace(ids=[*samples[3].ids[:-1], 10**6])
    with pytest.raises(InputError, match=f"trace '{stranger.trace_id}' has token id 1000000, the model knows"):
        train(tiny_model(), TOKENIZER, [*samples[:3], stranger], SETTINGS, out=tmp_path, progress=False)


def test_a_tower_that_no_text_passes_through_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma-3 from 4B on: its vision tower gets no gradient, of which a resumed optimizer knew nothing."""

    def model() -> Any:
        torch.manual_seed(0)
        text = {
            "vocab_size": len(TOKENIZER), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
        }  # fmt: skip
        vision = {
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14,
        }  # fmt: skip
        return AutoModelForCausalLM.from_config(Gemma3Config(text_config=text, vision_config=vision))

    assert context_length(None, model()) == 512
    settings = Train(objective="nll", updates=4, batch_size=4, probe_samples=0, save_seconds=1e-9)
    saved: list[int] = []
    save = loop_module.save_state

    def dies(*arguments: Any) -> None:
        save(*arguments)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop_module, "save_state", dies)
        train(model(), TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False)
    trained = model()
    assert train(trained, TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False).updates == 4
    asked = {name: one.requires_grad for name, one in trained.named_parameters()}
    assert not any(wanted for name, wanted in asked.items() if "vision" in name or "projector" in name)
    assert all(wanted for name, wanted in asked.items() if "language_model" in name)


def test_two_objectives_of_ones_own_with_one_name_are_two(tmp_path: Path) -> None:
    settings = Train(updates=1, batch_size=4, probe_samples=0)
    samples = lab_samples(4)
    train(tiny_model(), TOKENIZER, samples, settings, out=tmp_path, progress=False, f=lambda p: -p)
    with pytest.raises(InputError, match=r"another training stands here \(objective differ\)"):
        train(tiny_model(), TOKENIZER, samples, settings, out=tmp_path, progress=False, f=lambda p: -p.log())
    partial = functools.partial(torch.pow, exponent=2)
    train(tiny_model(), TOKENIZER, samples, settings, out=tmp_path / "partial", progress=False, f=partial)
