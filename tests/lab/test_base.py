"""The lab's base model: built reproducibly, and half-able on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from titer.generate import Sampling, TransformersGenerator
from titer.lab import build as build_module
from titer.lab.build import SETTINGS, Phase, build
from titer.lab.tasks import items
from titer.measure import BANDS, band_shares, solve_rates
from titer.models import load_model
from titer.rollouts import collect
from titer.verify import Grader


def test_build_writes_a_model_that_loads_and_is_the_same_again(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"batch_size": 16, "probe_samples": 0})
    phases = (Phase(1, 1e-3, documents=60, careless=0.5), Phase(1, 1e-3, documents=60, careless=0.0))
    one, two = (build(tmp_path / name, phases=phases, settings=settings, progress=False) for name in ("one", "two"))
    weights, again = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    loaded = load_model(str(one))
    assert loaded.tokenizer.decode(loaded.tokenizer("Use 3, 9 and 5 to make 42.")["input_ids"]).startswith("Use 3, 9")
    assert not (tmp_path / "one.build").exists()


@pytest.fixture(scope="module")
def in_domain_bands(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Bands of 150 held-out in-domain problems at 16 rollouts, sampled as evaluations are."""
    problems = [
        item.problem
        for task, count in {"countdown3": 100, "countdown4": 50}.items()
        for item in items(task, count, seed=11, held=True)
    ]
    loaded = load_model("lab")
    out = tmp_path_factory.mktemp("base") / "rollouts.jsonl"
    with Grader(workers=1) as grader:
        rollouts = collect(
            TransformersGenerator(loaded.model, loaded.tokenizer, name="base"),
            problems,
            samples=16,
            sampling=Sampling(temperature=0.6, top_p=0.95, max_tokens=64),
            grader=grader,
            out=out,
            model="lab",
        )
    return dict(band_shares(solve_rates(rollouts).values()))


@pytest.mark.parametrize("band", BANDS)
def test_every_band_holds_its_share_of_the_in_domain_problems(band: str, in_domain_bands: dict[str, float]) -> None:
    assert in_domain_bands[band] >= 0.15, in_domain_bands


@pytest.mark.parametrize(("place", "call"), [("pretrain", 2), ("publish", 1)])
def test_a_build_that_was_killed_ends_as_one_left_alone(
    place: str, call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two phases, and when both were done: a phase that had ended leaves the model as it came."""
    phases = tuple(Phase(2, 3e-3, documents=64, careless=0.0) for _ in range(2))
    settings = SETTINGS.model_copy(update={"batch_size": 16, "probe_samples": 0})
    whole = build(tmp_path / "whole", phases=phases, settings=settings, progress=False)
    original, calls = getattr(build_module, place), list[int]()

    def dies(*arguments: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(build_module, place, dies)
        build(tmp_path / "cut", phases=phases, settings=settings, progress=False)
    cut = build(tmp_path / "cut", phases=phases, settings=settings, progress=False)
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
