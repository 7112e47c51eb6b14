"""What the doctor says of this machine, and how near its prediction of memory comes."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from titer.cli.doctoring import doctor_json
from titer.doctor import Pace, StageTime, expected, inspect, measured_peak, predict
from titer.doctor.machine import Engine
from titer.errors import InputError
from titer.models.load import LAB
from titer.pipeline.data import load_inputs, prepare
from titer.recipe import Train, load_recipe
from titer.verbs import doctor


def settings(**given: Any) -> Train:
    return Train.model_validate({"micro_tokens": 2048, **given})


def test_the_predicted_peak_is_within_15_percent_of_the_measured_one() -> None:
    """The middle of three: what the C library's heap keeps changes from run to run."""
    predicted = predict("lab", settings(), length=256)
    near = 0
    for _ in range(3):
        near += predicted.total == pytest.approx(measured_peak("lab", settings(), length=256), rel=0.15)
        if near == 2:
            break  # whatever the third is
    assert near == 2
    assert predicted.weights == predicted.gradients == predicted.optimizer / 2


def test_what_its_parent_holds_is_no_part_of_a_program_s_peak() -> None:
    ballast = bytearray(500_000_000)
    code = "from titer.processes import highest; print(highest())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(ballast) == 500_000_000 and int(done.stdout) < 490_000_000


def test_the_mask_of_packed_samples_is_counted_and_no_other() -> None:
    short, long = (predict("lab", settings(), length=length) for length in (256, 1024))
    assert long.activations == pytest.approx(short.activations, rel=0.01)
    packed = predict("lab", settings(packing=True), length=256)
    masks = 2048 * 2048 * 4 * 5  # bytes, one a layer
    assert packed.activations - short.activations == pytest.approx(1.6 * masks, rel=0.02)


def test_memory_follows_the_settings() -> None:
    whole = predict("lab", settings(), length=256)
    assert predict("lab", settings(micro_tokens=4096), length=256).activations == pytest.approx(
        2 * whole.activations, rel=0.01
    )
    assert predict("lab", settings(gradient_checkpointing=True), length=256).activations < whole.activations / 4
    adapted = predict("lab", settings(lora={"rank": 4}), length=256)
    assert adapted.gradients < whole.gradients / 5 and adapted.weights == whole.weights


def described(folder: Path, config: Any) -> str:
    """A model's folder without weights, with the lab's tokenizer."""
    config.save_pretrained(folder)
    for file in LAB.glob("tokenizer*"):
        shutil.copy(file, folder)
    return str(folder)


SMALL: dict[str, Any] = {
    "vocab_size": 617, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_memory_of_a_mixture_of_experts_is_predicted(tmp_path: Path, precision: str) -> None:
    from transformers import Qwen3Config, Qwen3MoeConfig

    mixture = described(tmp_path / "moe", Qwen3MoeConfig(**SMALL, **EXPERTS))
    dense = described(tmp_path / "dense", Qwen3Config(**SMALL))
    found, other = (predict(model, settings(precision=precision), length=256) for model in (mixture, dense))
    # two experts of 32 a token keep about what 128 in one piece keep
    assert found.activations == pytest.approx(other.activations, rel=0.3)


def test_of_a_model_that_reads_images_the_text_alone_is_trained(tmp_path: Path) -> None:
    from transformers import Gemma3Config

    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(text_config=SMALL, vision_config={**vision, "image_size": 28, "patch_size": 14})
    found = predict(described(tmp_path, config), settings(), length=256)
    assert 0 < found.gradients < found.weights and found.activations > 1e7


def test_what_cannot_be_predicted_is_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_values(*_: Any, **__: Any) -> int:
        raise RuntimeError("aten._local_scalar_dense")

    monkeypatch.setattr(sys.modules["titer.doctor.memory"], "_kept", needs_values)
    with pytest.raises(InputError, match="cannot be predicted"):
        predict("lab", settings(), length=64)
    found = doctor(load_recipe("sft"), length=64)
    assert found.memory is None and any("titer doctor --measure" in fault for fault in found.faults)
    assert doctor_json(found)["memory"] == {"measured": None}


def test_an_objective_with_a_divergence_holds_the_model_twice() -> None:
    plain, twice = (predict("lab", settings(objective=spec), length=256) for spec in ("p", "nll+asft:0.05"))
    assert twice.base == twice.weights and twice.total == plain.total + plain.weights
    assert plain.base == 0 == predict("lab", settings(objective="p@q>=0.2@q<=0.8"), length=256).base


def test_a_budget_for_checkpoints_in_between_is_part_of_the_time(tmp_path: Path) -> None:
    recipe = load_recipe("sft", ["evaluate.checkpoints=grid"])
    prepare(recipe, tmp_path)
    inputs, pace = load_inputs(tmp_path), Pace(1000.0, 500.0, 50.0, 25.0)

    def evaluating(**given: Any) -> StageTime:
        evaluate = recipe.evaluate.model_copy(update=given)
        train = recipe.train.model_copy(update={"epochs": None, "updates": 100})
        stages = expected(recipe.model_copy(update={"evaluate": evaluate, "train": train}), inputs, pace)
        return next(one for one in stages if one.name == "evaluate")

    whole, last = evaluating(), evaluating(checkpoints="last")
    assert whole.seconds == pytest.approx(3 * last.seconds)  # 0, 10, 20, 40, 80, 100
    # four checkpoints in between, of 1,000 tokens at 500 a second
    for budget in ({"tokens": 1000}, {"minutes": 2 / 60}):
        assert evaluating(**budget).seconds == pytest.approx(last.seconds + 4 * 2)
        assert "4 between them, about 40 each" in evaluating(**budget).what
    assert evaluating(tokens=10**9) == whole


def test_what_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    machine = inspect(tmp_path / "not" / "there")
    assert machine.cores >= 1 and machine.devices[0].name == "CPU" and machine.disk > 0
    assert machine.engines["engine transformers"].version
    gone = {**machine.engines, "engine ray": Engine("", "pip install 'titer[ray]'")}
    monkeypatch.setattr(
        sys.modules["titer.verbs.doctor"], "inspect", lambda _: machine._replace(engines=gone, disk=1_000)
    )
    found = doctor(load_recipe("sft", ["generate.engine=ray"]), length=64)
    assert any("engine ray is not installed: pip install 'titer[ray]'" in fault for fault in found.faults)
    assert any("free on disk" in fault for fault in found.faults)
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else spec(name))
    rounds = ["stages.rounds=1", "measure.problems=50"]
    for generator, missing in (("vllm", True), ("engine", False)):
        faults = doctor(load_recipe("sft", [*rounds, f"rl.generator={generator}"]), length=64).faults
        assert any("vLLM is not installed beside the trainer" in fault for fault in faults) == missing


def test_too_large_a_training_is_a_fault_with_ways_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    machine = inspect(tmp_path)
    small = [machine.devices[0]._replace(memory=10_000_000)]
    monkeypatch.setattr(sys.modules["titer.verbs.doctor"], "inspect", lambda _: machine._replace(devices=small))
    (fault,) = doctor(load_recipe("sft"), length=64).faults
    assert "lower train.micro_tokens" in fault


def test_expected_times_are_what_a_recipe_asks_for_over_the_pace(tmp_path: Any) -> None:
    recipe = load_recipe("sft", ["train.updates=100", "train.batch_size=10"])
    prepare(recipe, tmp_path)
    inputs = load_inputs(tmp_path)
    stages = {one.name: one.seconds for one in expected(recipe, inputs, Pace(1000.0, 500.0, 50.0, 25.0))}
    assert stages["train"] == 100 * 10 * 50 / 1000
    problems = sum(len(suite.problems) for suite in inputs.suites)
    assert stages["evaluate"] == pytest.approx(2 * problems * recipe.evaluate.samples * 25 / 500)
    grid = recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"checkpoints": "grid"})})
    more = {one.name: one.seconds for one in expected(grid, inputs, Pace(1000.0, 500.0, 50.0, 25.0))}
    assert more["evaluate"] == pytest.approx(stages["evaluate"] / 2 * 6)  # 0, 10, 20, 40, 80, 100


def test_rounds_take_their_time_too(tmp_path: Any) -> None:
    small = [
        "data.lab.problems={countdown3: 80}",
        "rl.updates=10",
        "rl.prompts=4",
        "rl.samples=8",
        "stages.held=50",
        "stages.rounds=2",
    ]
    recipe = load_recipe("quickstart", small)
    assert recipe.train.updates == 250 and recipe.stages.samples == 8
    prepare(recipe, tmp_path)
    stages = {one.name: one for one in expected(recipe, load_inputs(tmp_path), Pace(1000.0, 500.0, 50.0, 25.0))}
    assert stages["train"].seconds == 2 * 250 * 32 * 50 / 1000
    assert stages["rl"].seconds == pytest.approx(2 * 10 * 32 * (25 / 500 + 25 / 1000))
    assert stages["judge"].seconds == pytest.approx(3 * 20 * 8 * 25 / 500)  # at most a quarter of the problems is held


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="give at least 2"):
        doctor(load_recipe("sft"), length=1)
    with pytest.raises(InputError, match="no model at 'nowhere'"):
        doctor(load_recipe("sft", ["model=nowhere"]))
