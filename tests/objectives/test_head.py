"""The one-pass head against whole logits in float64."""

from __future__ import annotations

import math
from importlib import import_module

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from titer.objectives import Base, Head, Objective, TokenStats, head, log_probs, objective, score_hidden, score_logits
from titer.objectives import rows as rows_module
from titer.objectives.divergence import divergence
from titer.objectives.family import weighted

SPECS = [
    *("nll", "p", "power:10", "nll@p>=0.2", "p@p<=0.9", "focal:2", "log1mp", "infosft", "eaft", "deft", "iw"),
    *("asft:0.05", "0.7*p+0.3*nll"),
]


def logits(hidden_ND: Tensor, one: Head) -> Tensor:
    z_NV = hidden_ND @ one.weight_VD.t()
    z_NV = (z_NV if one.bias_V is None else z_NV + one.bias_V) * one.scale
    return z_NV if one.softcap is None else one.softcap * torch.tanh(z_NV / one.softcap)


def stats(z_NV: Tensor, targets_N: Tensor, trace_N: Tensor | None) -> TokenStats:
    log_p = z_NV.log_softmax(1)
    p = log_p.exp()
    top = p.topk(min(20, p.shape[1]), 1).values
    top = top / top.sum(1, keepdim=True)
    return TokenStats(
        log_p.gather(1, targets_N[:, None]).squeeze(1),
        -(p * log_p).sum(1),
        p.square().sum(1),
        -torch.xlogy(top, top).sum(1) / math.log(20),
        trace_N,
    )


def reference(
    hidden_ND: Tensor, targets_N: Tensor, one: Head, f: Objective, token_N: Tensor, trace_N: Tensor, base: Base
) -> tuple[TokenStats, Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Statistics, values, weights and gradients from whole logits, everything in float64.

    With each gradient comes what it sums up, without signs.
    """
    leaves = [hidden_ND.double(), one.weight_VD.double(), *([one.bias_V.double()] if one.bias_V is not None else [])]
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    wide = Head(leaves[1], leaves[2] if len(leaves) > 2 else None, one.scale, one.softcap)
    z_NV = logits(leaves[0], wide)
    found = stats(z_NV, targets_N, trace_N.double())
    weight_N = f.weight(TokenStats(*(None if x is None else x.detach() for x in found))) * token_N
    value_N = f.value(found) * token_N
    loss = -(weight_N * found.logp_N).sum()
    if f.divergence:
        theirs = logits(base.hidden_ND.double(), Head(base.head.weight_VD.double())).log_softmax(1)
        kl_N = (theirs.exp() * (theirs - z_NV.log_softmax(1))).sum(1) * token_N * f.divergence
        loss, value_N = loss + kl_N.sum(), value_N + kl_N
    slope_NV, *grads = torch.autograd.grad(loss, [z_NV, *leaves])
    summed_NV = slope_NV.abs()
    # a rounding of the logits, too, goes through the weight (with p^10 ten times over) and through the softmax
    moving_NV = z_NV.detach().requires_grad_()
    moved_N = f.weight(stats(moving_NV, targets_N, trace_N.double())) * token_N
    steep_NV = torch.autograd.grad(moved_N.sum(), moving_NV)[0] if moved_N.requires_grad else torch.zeros_like(z_NV)
    p_NV = z_NV.detach().softmax(1)
    if f.divergence:  # whose slope is p less the base's
        summed_NV = summed_NV + f.divergence * token_N[:, None] * (p_NV + theirs.exp())
    pull_NV = p_NV - torch.nn.functional.one_hot(targets_N, z_NV.shape[1])
    moved_NV = steep_NV.abs().sum(1, keepdim=True) * pull_NV.abs() + weight_N[:, None] * p_NV * (1 - p_NV)
    size_NV = (summed_NV + moved_NV * z_NV.detach().abs().amax(1, keepdim=True)) * one.scale
    terms = [size_NV @ leaves[1].abs(), size_NV.t() @ leaves[0].abs(), size_NV.sum(0)]
    return found, value_N, weight_N, list(zip(grads, terms, strict=False))


def near(found: Tensor | None, wanted: Tensor, tolerance: float, terms: Tensor) -> bool:
    """Whether the relative error is small, but for two float32 ulps of each of the `terms` that are summed up."""
    assert found is not None
    return bool((found.double() - wanted).norm() <= tolerance * wanted.norm() + 2**-22 * terms.norm() + 1e-12)


def check(
    count: int, width: int, vocabulary: int, spec: str, *, dtype: torch.dtype, seed: int = 0, **options: object
) -> None:
    torch.manual_seed(seed)
    weight_VD = (torch.randn(vocabulary, width) * 2 / math.sqrt(width)).to(dtype).requires_grad_()
    targets_N = torch.randint(vocabulary, (count,))
    # towards the target by more and more, up to 10 in its logit: no objective is nothing at every p then
    at_target_ND = weight_VD.detach().float()[targets_N]
    pull_N1 = torch.linspace(0, 10, count)[:, None] / float(options.get("scale", 1.0))  # type: ignore[arg-type]
    pull_ND = pull_N1 * at_target_ND / at_target_ND.square().sum(1, keepdim=True).clamp_min(1)
    hidden_ND = (torch.randn(count, width) + pull_ND).to(dtype).requires_grad_()
    bias_V = torch.randn(vocabulary).to(dtype).requires_grad_() if options.get("bias") else None
    one = Head(weight_VD, bias_V, float(options.get("scale", 1.0)), options.get("softcap"))  # type: ignore[arg-type]
    token_N, trace_N = torch.rand(count) + 0.5, torch.rand(count) * 3
    base = Base(torch.randn(count, width), Head(torch.randn(vocabulary, width) / math.sqrt(width)))
    f = objective(spec)
    factor, later = float(options.get("factor", 1.0)), 0.5 / float(options.get("factor", 1.0))  # type: ignore[arg-type]
    found = score_hidden(
        hidden_ND, targets_N, one, f, factor=factor, token_weight_N=token_N, trace_N=trace_N, base=base
    )
    (found.loss if later == 1 else later * found.loss).backward()
    wanted, value_N, weight_N, grads = reference(hidden_ND, targets_N, one, f, token_N, trace_N, base)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    leaves = [hidden_ND, weight_VD, *([bias_V] if bias_V is not None else [])]
    for leaf, (grad, terms) in zip(leaves, grads, strict=True):
        assert near(leaf.grad, 0.5 * grad, tolerance, 0.5 * terms), spec
    torch.testing.assert_close(found.logp_N.double(), wanted.logp_N, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.entropy_N.double(), wanted.entropy_N, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.value_N.double(), value_N.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.weight_N.double(), weight_N.detach(), rtol=1e-4, atol=1e-4)
    assert found.loss.item() == pytest.approx(factor * value_N.sum().item(), rel=1e-4, abs=1e-4)
    bias64_V = None if bias_V is None else bias_V.detach().double()
    z_NV = logits(hidden_ND.detach().double(), Head(weight_VD.detach().double(), bias64_V, one.scale, one.softcap))
    ahead_N = z_NV.gather(1, targets_N[:, None]).squeeze(1) - z_NV.scatter(1, targets_N[:, None], -math.inf).amax(1)
    clear_N = ahead_N.abs() > 1e-3
    assert torch.equal(found.hit_N[clear_N], ahead_N[clear_N] > 0)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_those_of_whole_logits(spec: str, dtype: torch.dtype) -> None:
    check(37, 24, 101, spec, dtype=dtype)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("factor", [0.5, 0.1])
def test_a_factor_is_the_loss_multiplied(spec: str, factor: float) -> None:
    check(37, 24, 101, spec, dtype=torch.float32, factor=factor, bias=True, scale=0.4, softcap=10.0)


@given(
    st.integers(1, 40),
    st.integers(1, 48),
    st.integers(2, 150),
    st.sampled_from(SPECS),
    st.booleans(),
    st.sampled_from([1.0, 0.25, 3.0]),
    st.sampled_from([None, 5.0, 30.0]),
    st.integers(0, 1000),
)
@example(1, 1, 2, "asft:0.05", True, 3.0, None, 346)  # both distributions near one token
@example(2, 2, 2, "nll", True, 3.0, None, 94)  # a sum that cancels to a hundredth
@example(1, 1, 101, "asft:0.05", False, 0.25, 30.0, 305)
@example(1, 1, 121, "asft:0.05", False, 0.25, None, 979)  # −p and the divergence cancel
@example(1, 1, 45, "deft", True, 3.0, 30.0, 45)
@settings(max_examples=120, deadline=None)
def test_any_shape(
    count: int, width: int, vocabulary: int, spec: str, bias: bool, scale: float, softcap: float | None, seed: int
) -> None:
    options = {"bias": bias, "scale": scale, "softcap": softcap}
    check(count, width, vocabulary, spec, dtype=torch.float32, seed=seed, **options)


@pytest.mark.parametrize("spec", SPECS)
def test_chunks_and_blocks_change_nothing(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "MOST_BYTES", 1)
    monkeypatch.setattr(head, "FEWEST", 7)  # 37 tokens in six chunks, the last of two
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 4 * 101 * 3)  # three rows at a time
    monkeypatch.setattr(
        import_module("titer.objectives.divergence"), "CHUNK_BYTES", 4 * 101 * 7
    )  # as many again for the base
    check(37, 24, 101, spec, dtype=torch.float32, bias=True, softcap=10.0)
    monkeypatch.setattr("titer.objectives.products.VOCABULARY_BLOCK", 16)
    check(37, 24, 101, spec, dtype=torch.bfloat16)


def test_no_tokens_no_gradient() -> None:
    hidden_ND, weight_VD = torch.randn(0, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    found = score_hidden(hidden_ND, torch.zeros(0, dtype=torch.long), Head(weight_VD), objective("p"))
    found.loss.backward()
    assert found.loss.item() == 0 and weight_VD.grad is not None and not weight_VD.grad.any()


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden_ND, weight_VD = torch.randn(5, 8, requires_grad=True), torch.randn(11, 8)
    score_hidden(hidden_ND, torch.arange(5), Head(weight_VD), objective("nll")).loss.backward()
    found, hidden_ND.grad = hidden_ND.grad, None
    torch.nn.functional.cross_entropy(hidden_ND @ weight_VD.t(), torch.arange(5), reduction="sum").backward()
    torch.testing.assert_close(found, hidden_ND.grad, rtol=1e-5, atol=1e-5)
    assert weight_VD.grad is None


@pytest.mark.parametrize("frozen", ["hidden states", "head"])
def test_a_divergence_reaches_what_is_trained_alone(frozen: str) -> None:
    torch.manual_seed(0)
    hidden_ND, weight_VD = torch.randn(5, 8, requires_grad=True), torch.randn(11, 8, requires_grad=True)
    still, moving = (hidden_ND, weight_VD) if frozen == "hidden states" else (weight_VD, hidden_ND)
    still.requires_grad_(False)
    base = Base(torch.randn(5, 8), Head(torch.randn(11, 8), scale=0.5))
    divergence(hidden_ND, Head(weight_VD, scale=2.0), base, torch.ones(5))[0].backward()
    found, moving.grad = moving.grad, None
    log_p = (2.0 * hidden_ND @ weight_VD.t()).log_softmax(1)
    theirs = (0.5 * base.hidden_ND @ base.head.weight_VD.t()).log_softmax(1)
    torch.nn.functional.kl_div(log_p, theirs, reduction="sum", log_target=True).backward()
    torch.testing.assert_close(found, moving.grad, rtol=1e-5, atol=1e-5)
    assert still.grad is None


def test_an_objective_of_ones_own_may_ask_for_the_entropy() -> None:
    torch.manual_seed(0)
    hidden_ND, weight_VD, targets_N = torch.randn(5, 8), torch.randn(11, 8), torch.arange(5)
    log_p_NV = (hidden_ND @ weight_VD.t()).log_softmax(1)
    entropy_N = -(log_p_NV.exp() * log_p_NV).sum(1)
    mine = weighted("mine", lambda s: s.entropy_N)
    whole = score_logits(hidden_ND @ weight_VD.t(), targets_N, mine)
    for found in (score_hidden(hidden_ND, targets_N, Head(weight_VD), mine), whole):
        torch.testing.assert_close(found.weight_N, entropy_N, rtol=1e-5, atol=1e-5)


def test_only_the_loss_has_a_gradient() -> None:
    found = score_hidden(
        torch.randn(5, 8, requires_grad=True), torch.arange(5), Head(torch.randn(11, 8)), objective("p")
    )
    assert found.loss.requires_grad and not any(part.requires_grad for part in found[1:])


def test_a_tied_weight_adds_up() -> None:
    torch.manual_seed(0)
    weight_VD, ids_N, targets_N = torch.randn(11, 8, requires_grad=True), torch.arange(5), torch.arange(5) + 2
    score_hidden(weight_VD[ids_N], targets_N, Head(weight_VD), objective("nll")).loss.backward()
    found, weight_VD.grad = weight_VD.grad, None
    torch.nn.functional.cross_entropy(weight_VD[ids_N] @ weight_VD.t(), targets_N, reduction="sum").backward()
    torch.testing.assert_close(found, weight_VD.grad, rtol=1e-5, atol=1e-5)


def test_extreme_logits_keep_their_digits() -> None:
    hidden_ND = torch.tensor([[300.0], [-300.0], [0.0]])
    found = score_hidden(hidden_ND, torch.tensor([0, 0, 0]), Head(torch.tensor([[1.0], [-1.0]])), objective("nll"))
    torch.testing.assert_close(found.logp_N, torch.tensor([0.0, -600.0, -math.log(2)]))
    assert found.entropy_N.tolist() == pytest.approx([0.0, 0.0, math.log(2)]) and found.hit_N.tolist() == [1, 0, 1]


def test_p_near_one_keeps_its_digits() -> None:
    """1 − p = 2e-9, which 1 less a float32 p does not know."""
    one = Head(torch.tensor([[1.0], [-1.0]]))
    found = score_hidden(torch.tensor([[10.0]]), torch.tensor([0]), one, objective("nll"))
    torch.testing.assert_close(found.logp_N, torch.tensor([-math.log1p(math.exp(-20))]), rtol=1e-5, atol=0.0)


def test_tokens_weigh_one_where_nothing_else_is_said() -> None:
    torch.manual_seed(3)
    hidden_ND, weight_VD, targets_N = torch.randn(9, 4), torch.randn(30, 4), torch.randint(30, (9,))
    base, f = Base(torch.randn(9, 4), Head(torch.randn(30, 4))), objective("asft:0.5")
    plain = score_hidden(hidden_ND, targets_N, Head(weight_VD), f, base=base)
    ones = score_hidden(hidden_ND, targets_N, Head(weight_VD), f, base=base, token_weight_N=torch.ones(9))
    torch.testing.assert_close(plain.value_N, ones.value_N)
    whole = score_logits(hidden_ND @ weight_VD.t(), targets_N, objective("p"))
    torch.testing.assert_close(whole.loss, whole.value_N.sum())


@pytest.mark.parametrize("bias", [False, True])
def test_no_gradient_is_a_denormal_number(bias: bool) -> None:
    """What p^10 gives tokens of p = 5e-5 took some processors tens of times as long as the rest."""
    generator = torch.Generator().manual_seed(0)
    hidden_ND = torch.randn(32, 8, generator=generator).requires_grad_()
    weight_VD = (0.1 * torch.randn(20_000, 8, generator=generator)).requires_grad_()
    bias_V = torch.zeros(20_000, requires_grad=True) if bias else None
    targets_N = torch.randint(20_000, (32,), generator=generator)
    one = Head(weight_VD, bias_V)
    scores = score_hidden(hidden_ND, targets_N, one, objective("power:10"))
    smallest = torch.finfo(torch.float32).tiny
    assert 0 < scores.weight_N.max() < smallest  # which is reported as it is
    scores.loss.backward()
    for leaf in (hidden_ND, weight_VD, *([] if bias_V is None else [bias_V])):
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_a_small_share_is_kept_where_float32_can_tell() -> None:
    """p^10 = 1e-22 beside 1: the row's gradient at its hidden state is the float64 one to 1e-5."""
    hidden_ND = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    weight_VD = torch.tensor([[2.5], [-2.5]], requires_grad=True)
    targets_N = torch.tensor([0, 0])
    score_hidden(hidden_ND, targets_N, Head(weight_VD), objective("power:10")).loss.backward()
    p_N = torch.sigmoid(torch.tensor([5.0, -5.0], dtype=torch.float64))
    wanted_N = -(p_N**10) * (1 - p_N) * 5
    assert hidden_ND.grad is not None
    assert 0 < -wanted_N[1] < 1e-20
    torch.testing.assert_close(hidden_ND.grad[:, 0].double(), wanted_N, rtol=1e-5, atol=0.0)


def test_what_is_not_a_number_reaches_the_loss() -> None:
    hidden_ND = torch.tensor([[1.0], [math.nan]])
    found = score_hidden(hidden_ND, torch.tensor([0, 1]), Head(torch.tensor([[1.0], [-1.0]])), objective("p"))
    assert math.isnan(found.loss.item())


@pytest.mark.parametrize("spec", SPECS[:-2])
def test_whole_logits_give_the_same(spec: str) -> None:
    torch.manual_seed(1)
    hidden_ND, weight_VD = torch.randn(23, 16, requires_grad=True), torch.randn(57, 16, requires_grad=True)
    targets_N, f = torch.randint(57, (23,)), objective(spec)
    counts = {"factor": 0.2, "trace_N": torch.rand(23), "token_weight_N": torch.rand(23)}
    one = score_hidden(hidden_ND, targets_N, Head(weight_VD), f, **counts)  # type: ignore[arg-type]
    grads = torch.autograd.grad(one.loss, [hidden_ND, weight_VD])
    other = score_logits(hidden_ND @ weight_VD.t(), targets_N, f, **counts)  # type: ignore[arg-type]
    for mine, theirs in zip(grads, torch.autograd.grad(other.loss, [hidden_ND, weight_VD]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_log_probs_alone() -> None:
    torch.manual_seed(2)
    hidden_ND, weight_VD, targets_N = torch.randn(9, 4), torch.randn(30, 4), torch.randint(30, (9,))
    wanted = (hidden_ND @ weight_VD.t()).log_softmax(1).gather(1, targets_N[:, None]).squeeze(1)
    torch.testing.assert_close(log_probs(hidden_ND, targets_N, Head(weight_VD)), wanted)


@pytest.mark.parametrize("width", [7, 20, 128 * 20 + 5, 128 * 21, 128 * 40 + 127])
def test_entropy_of_the_likeliest_at_any_width(width: int) -> None:
    torch.manual_seed(width)
    z_nV = torch.randn(9, width) * 4
    z_nV[0, -1], z_nV[1, -3:], z_nV[2] = 30.0, 9.0, 1.0  # past the last whole block, a tie, all tied
    p_nk = z_nV.double().topk(min(20, width), dim=1).values.softmax(1)
    torch.testing.assert_close(
        rows_module.top_entropy(z_nV).double(), torch.special.entr(p_nk).sum(1) / math.log(20), rtol=1e-5, atol=1e-6
    )
