from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from titer.errors import InputError
from titer.objectives import OBJECTIVES, objective, score_tokens

torch.manual_seed(0)
LOGITS = torch.randn(7, 11, dtype=torch.float64)
TARGETS = torch.tensor([0, 3, 3, 10, 1, 2, 5])


def test_nll_is_cross_entropy() -> None:
    scores = score_tokens(LOGITS, TARGETS, objective("nll"))
    assert torch.allclose(scores.loss_N.double(), cross_entropy(LOGITS, TARGETS, reduction="none"), atol=1e-6)
    assert torch.equal(scores.hit_N, LOGITS.argmax(-1) == TARGETS)


@pytest.mark.parametrize(
    ("name", "weight"), [("nll", lambda p: torch.ones_like(p)), ("p", lambda p: p), ("dft", lambda p: p)]
)
def test_gradient_is_cross_entropys_times_the_weight(name: str, weight) -> None:
    """dL/dlogits = w(p) · (softmax − onehot), arXiv 2510.00526."""
    logits = LOGITS.float().requires_grad_()
    score_tokens(logits, TARGETS, objective(name)).loss_N.sum().backward()
    probs = LOGITS.softmax(-1)
    p = probs[torch.arange(7), TARGETS]
    expected = weight(p)[:, None] * (probs - torch.nn.functional.one_hot(TARGETS, 11))
    assert torch.allclose(logits.grad.double(), expected, atol=1e-6)


def test_telemetry_carries_no_gradient() -> None:
    scores = score_tokens(LOGITS.clone().requires_grad_(), TARGETS, objective("p"))
    assert scores.loss_N.requires_grad and not scores.logp_N.requires_grad and not scores.hit_N.requires_grad


def test_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown objective 'nlll', did you mean 'nll'"):
        objective("nlll")
    assert OBJECTIVES["dft"] is OBJECTIVES["p"]
