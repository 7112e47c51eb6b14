"""KL(tuned ‖ base) as a gauge of forgetting."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from titer.errors import InputError
from titer.lab.tasks import items
from titer.models import load_model
from titer.models.load import LAB
from titer.pipeline.evaluation.forgetting import divergence_of
from titer.records import Rollout


def completions(model: str, *, finish: str = "stop") -> list[Rollout]:
    return [
        Rollout(
            problem_id=item.problem.id, sample=k, model=model, prompt=item.problem.prompt, reasoning="",
            response=item.solution, finish_reason=finish, tokens=9, score=1.0, parsed="1", suite="s", axis="in_domain",
        )
        for item in items("countdown3", 6, seed=0, held=True) for k in range(2)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def near_and_far(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The lab's base with a little and with more noise on its weights."""
    places = {"same": "lab"}
    for name, noise in (("near", 0.01), ("far", 0.04)):
        loaded = load_model("lab")
        torch.manual_seed(0)
        with torch.no_grad():
            for weight in loaded.model.parameters():
                weight.add_(noise * torch.randn_like(weight))
        folder = tmp_path_factory.mktemp(name) / "model"
        loaded.model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        places[name] = str(folder)
    return places


def test_the_further_the_larger(near_and_far: dict[str, str]) -> None:
    rollouts = [row for name in near_and_far for row in completions(name)]
    found = divergence_of(near_and_far, "lab", rollouts, most=4, seed=0)
    assert found["same"].mid == pytest.approx(0, abs=1e-9)
    assert 0 < found["near"].mid < found["far"].mid
    assert all(one.low <= one.mid <= one.high for one in found.values())
    assert found == divergence_of(near_and_far, "lab", rollouts, most=4, seed=0)


def test_only_what_ended_counts(near_and_far: dict[str, str]) -> None:
    assert divergence_of(near_and_far, "lab", completions("near", finish="length"), most=4, seed=0) == {}


def test_a_checkpoint_with_another_tokenizer_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(LAB, other)
    loaded = load_model(str(other))
    loaded.tokenizer.add_tokens(["extra"])
    loaded.tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match="the tokenizer is not the base's"):
        divergence_of({"trained": str(other)}, "lab", completions("trained"), most=4, seed=0)
