"""The scorer finds the heads of real architectures, and trains every objective whatever the head."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training import TOKENIZER, lab_samples, tiny_model
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from titer.errors import InputError
from titer.models import add_lora
from titer.objectives import objective
from titer.recipe import Lora, Train
from titer.train import train
from titer.train.aim import structure_tokens, take_aim, termination_weight
from titer.train.scorer import Scorer, head_of
from titer.train.tokens.batches import micro_batches
from titer.train.tokens.encode import Sample
from titer.train.tokens.token_loss import token_stats

SIZES: dict[str, Any] = {
    **{"vocab_size": len(TOKENIZER), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512},
    **{"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
}
GPT2 = {"vocab_size": len(TOKENIZER), "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
MODELS = {
    "tied": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True)),
    "soft-capped": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=2.0)),
    "scaled": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.25)),
    "divided": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)),
    "GPT-2": lambda: GPT2LMHeadModel(GPT2Config(**GPT2, bos_token_id=2, eos_token_id=3)),
}


def whole(scorer: Scorer) -> Scorer:
    scorer.whole_logits = True
    return scorer


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("spec", ["p", "eaft"])
def test_heads_are_found_and_give_what_whole_logits_give(name: str, spec: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():
        for weight in model.parameters():  # logits large enough for a softcap to matter
            weight.mul_(3.0 if weight.dim() > 1 else 1.0)
    (micro,) = micro_batches(lab_samples(3), tokens=10_000, packing=False)
    scorer = Scorer(model.eval())
    assert not scorer.whole_logits
    one = scorer(micro, objective(spec))
    one.loss.backward()
    grads = {key: weight.grad.clone() for key, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    other = whole(scorer)(micro, objective(spec))
    other.loss.backward()
    torch.testing.assert_close(one.logp_N, other.logp_N, rtol=1e-4, atol=1e-4)
    for key, weight in model.named_parameters():
        if weight.grad is not None:
            assert (grads[key] - weight.grad).norm() <= 1e-4 * weight.grad.norm() + 1e-6, key


def test_adapters_on_the_head_are_trained() -> None:
    model = add_lora(tiny_model(), Lora(rank=2, targets=("lm_head", "q_proj")), seed=0)
    (micro,) = micro_batches(lab_samples(2), tokens=10_000, packing=False)
    scorer = Scorer(model.eval())
    assert not scorer.whole_logits
    scorer(micro, objective("nll")).loss.backward()
    grads = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    head = [grad for name, grad in grads.items() if "lm_head" in name and "lora_B" in name]
    assert len(head) == 1 and head[0] is not None and head[0].abs().max() > 0
    assert all("lora" in name for name in grads)


class Odd(nn.Module):
    """A head that is no matrix."""

    def __init__(self, inner: nn.Linear) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.inner(hidden).square()


def test_a_head_that_cannot_be_taken_apart_trains_with_whole_logits(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model()
    model.lm_head = Odd(model.lm_head)
    scorer = Scorer(model)
    assert scorer.whole_logits and caplog.text.count("whole logits") == 1
    (micro,) = micro_batches(lab_samples(2), tokens=10_000, packing=False)
    scorer(micro, objective("iw")).loss.backward()
    assert model.lm_head.inner.weight.grad is not None
    with pytest.raises(InputError, match="taken apart"):
        scorer(micro, objective("asft:0.1"))


def test_a_head_that_its_configuration_does_not_tell_is_not_believed() -> None:
    model = tiny_model()
    inner = model.lm_head.forward
    model.lm_head.forward = lambda hidden: 2 * inner(hidden)  # type: ignore[method-assign]
    assert head_of(model) is not None and Scorer(model).whole_logits


@pytest.mark.parametrize("spec", ["quantile:0.2", "iw", "asft:0.1", "deft", "0.5*p+0.5*nll@p>=0.2"])
def test_every_kind_of_objective_trains(spec: str, tmp_path: Path) -> None:
    settings = Train(objective=spec, updates=3, batch_size=4, learning_rate=1e-2, probe_samples=4)
    result = train(tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert result.updates == 3 and rows[-1]["nll"] < rows[0]["nll"]
    stored = json.loads((tmp_path / "objective.json").read_text())
    assert stored["spec"] == spec and (bool(stored["cuts"]) == ("quantile" in spec))
    assert sum(rows[0]["p_histogram"]) == rows[0]["trained_tokens"]


def test_ones_own_function_of_p_trains_as_the_one_it_is(tmp_path: Path) -> None:
    settings = Train(objective="p", updates=2, batch_size=4, learning_rate=1e-2, probe_samples=0)

    def mine(p: torch.Tensor) -> torch.Tensor:
        return -p

    train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path / "a", progress=False, f=mine)
    train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path / "b", progress=False)
    a, b = (json.loads((tmp_path / x / "log.jsonl").read_text().splitlines()[-1]) for x in "ab")
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-6) and a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-5)


def test_dividing_by_the_weights_is_dividing_by_their_sum(tmp_path: Path) -> None:
    norms = {}
    for normalize in ("tokens", "weights"):
        settings = Train(
            objective="p", updates=1, batch_size=4, probe_samples=0, clip=1e9, micro_tokens=300, normalize=normalize
        )
        train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path / normalize, progress=False)
        (row,) = (json.loads(line) for line in (tmp_path / normalize / "log.jsonl").read_text().splitlines())
        norms[normalize] = row["grad_norm"]
    assert row["loss"] == pytest.approx(-1)  # Σ−p over Σp
    assert norms["weights"] == pytest.approx(
        norms["tokens"] * row["trained_tokens"] / row["effective_tokens"], rel=1e-4
    )


def test_a_share_that_the_largest_weight_does_not_reach_is_said(caplog: pytest.LogCaptureFixture) -> None:
    long = [Sample("t", [7] * 9_999 + [3], 0)]
    assert termination_weight(long, [3], 0.05) == 50
    assert "gives them 0.5 % of the loss, not 5 %" in caplog.text


def test_the_end_of_text_is_an_end_where_it_stands_for_unknown_tokens_too() -> None:
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.unk_token = tokenizer.eos_token
    assert structure_tokens(tokenizer) == structure_tokens(TOKENIZER)
    assert tokenizer.eos_token_id in structure_tokens(tokenizer)


def test_the_end_of_turn_of_the_template_is_an_end(tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(TOKENIZER)
    tokenizer.eos_token = "<|unk|>"
    assert tokenizer.convert_tokens_to_ids("<|end|>") in structure_tokens(tokenizer)


def test_termination_gives_the_ends_their_share(tmp_path: Path) -> None:
    samples, ends = lab_samples(8), structure_tokens(TOKENIZER)
    weight = termination_weight(samples, ends, 0.05)
    tokens = [i for sample in samples for i in sample.ids[-sample.trained :]]
    among = sum(i in ends for i in tokens)
    assert among >= 16  # an end of thinking and of the turn each
    assert weight * among / (weight * among + len(tokens) - among) == pytest.approx(0.05)
    assert termination_weight(samples, ends, 0.99999) == 50
    with pytest.raises(InputError, match="ends a thinking or a turn"):
        termination_weight(samples, [], 0.05)
    settings = Train(objective="p", termination=0.3)
    aim = take_aim(settings, tiny_model(), TOKENIZER, samples, out=tmp_path, seed=0, writes=True)
    found = aim.token_weights(torch.tensor([ends[0], 40, ends[-1]]))
    assert found is not None and found.tolist() == pytest.approx([aim.structure_weight, 1.0, aim.structure_weight])


def test_a_token_that_the_model_does_not_know_is_named(tmp_path: Path) -> None:
    (sample,) = lab_samples(1)
    strange = sample._replace(ids=[*sample.ids, len(TOKENIZER) + 7])
    with pytest.raises(InputError, match=f"token id {len(TOKENIZER) + 7}"):
        train(tiny_model(), TOKENIZER, [strange], Train(objective="nll"), out=tmp_path, progress=False)


@pytest.mark.parametrize("spec", ["p", "nll@p>=0.2"])
def test_hidden_states_that_are_no_numbers_stop_the_training(tmp_path: Path, spec: str) -> None:
    model, samples = tiny_model(), lab_samples(4)
    alone = next(i for i in samples[2].ids if not any(i in other.ids for other in (samples[0], samples[1], samples[3])))
    with torch.no_grad():
        model.model.embed_tokens.weight[alone] = float("nan")
    assert not Scorer(model).whole_logits
    settings = Train(objective=spec, updates=2, batch_size=4, probe_samples=0)
    with pytest.raises(InputError, match=f"nan at update 1, traces {re.escape(samples[2].trace_id)};"):
        train(model, TOKENIZER, samples, settings, out=tmp_path, progress=False)


def test_packing_is_refused_where_samples_see_each_other(tmp_path: Path) -> None:
    sizes = {"vocab_size": len(TOKENIZER), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    leaky = OPTForCausalLM(OPTConfig(**sizes, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=512))
    settings = Train(objective="nll", updates=1, batch_size=4, probe_samples=0, packing=True)
    with pytest.raises(InputError, match="packed samples see each other in OPTForCausalLM"):
        train(leaky, TOKENIZER, lab_samples(4), settings, out=tmp_path / "leaky", progress=False)
    assert train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path / "fine", progress=False).updates == 1


def test_weights_that_are_no_numbers_are_not_a_head_that_cannot_be_found() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    assert not Scorer(model).whole_logits
    with pytest.raises(InputError, match="log p that is no number"):
        token_stats(model, TOKENIZER, lab_samples(2))


@pytest.mark.parametrize("normalize", ["tokens", "weights"])
def test_an_objective_that_no_token_counts_in_is_refused(tmp_path: Path, normalize: str) -> None:
    settings = Train(objective="nll@p>=0.99", updates=2, batch_size=4, probe_samples=0, normalize=normalize)
    with pytest.raises(InputError, match="no token of update 1 counts anything under nll@p>=0.99"):
        train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path, progress=False)


def test_statistics_of_samples_do_not_depend_on_their_batch() -> None:
    samples = lab_samples(6)
    together, alone = (token_stats(tiny_model(), TOKENIZER, samples, micro_tokens=size) for size in (10_000, 1))
    for sample, one, other in zip(samples, together, alone, strict=True):
        assert one.logp_N.shape == one.entropy_N.shape == (sample.trained,)
        assert one.logp_N == pytest.approx(other.logp_N, abs=1e-4)
        assert one.entropy_N == pytest.approx(other.entropy_N, abs=1e-4)


@pytest.mark.parametrize("end", ["embed_tokens", "lm_head"])
def test_a_model_with_too_few_tokens_is_refused_by_whatever_reads_samples(end: str) -> None:
    model, samples = tiny_model(), lab_samples(2)
    layer = model.lm_head if end == "lm_head" else model.model.embed_tokens
    layer.weight = torch.nn.Parameter(layer.weight[:40].clone())
    with pytest.raises(InputError, match="the model knows 40"):
        token_stats(model, TOKENIZER, samples)
