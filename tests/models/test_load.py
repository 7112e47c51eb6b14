from __future__ import annotations

from pathlib import Path

import pytest
import torch

from titer.errors import InputError
from titer.models import add_lora, describe_model, load_model, locate
from titer.models.load import LAB
from titer.recipe import Lora


def test_the_lab_model_comes_with_titer_and_is_small() -> None:
    folder = Path(locate("lab"))
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 10_000_000
    loaded = load_model("lab")
    assert 2_000_000 <= sum(weight.numel() for weight in loaded.model.parameters()) <= 4_000_000
    assert loaded.model.dtype == torch.float32 and loaded.tokenizer.chat_template


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "quickstart", "a/b/c"])
def test_what_is_not_there_is_one_clear_line(name: str) -> None:
    with pytest.raises(InputError, match="no model at"):
        load_model(name)


def test_a_hub_id_that_cannot_be_had_is_one_clear_line() -> None:
    with pytest.raises(InputError, match="cannot load model 'nobody/nothing'"):
        load_model("nobody/nothing")


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    """Pickled weights run code when they are loaded."""
    loaded = load_model("lab")
    loaded.model.config.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    torch.save(loaded.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot load model"):
        load_model(str(tmp_path))


def test_a_broken_weights_file_is_one_clear_line(tmp_path: Path) -> None:
    load_model("lab").model.config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot load model"):
        load_model(str(tmp_path))


def test_a_description_is_that_of_the_model() -> None:
    described, loaded = describe_model("lab"), load_model("lab")
    assert described.config.max_position_embeddings == loaded.model.config.max_position_embeddings
    assert described.tokenizer.get_vocab() == loaded.tokenizer.get_vocab()


def test_an_adapter_is_described_by_its_base(tmp_path: Path) -> None:
    loaded = load_model("lab")
    add_lora(loaded.model, Lora(rank=1)).save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    assert describe_model(str(tmp_path)).config.hidden_size == loaded.model.config.hidden_size


def adapters(seed: int) -> dict[str, torch.Tensor]:
    torch.rand(seed + 1)  # whatever drew before
    model = add_lora(load_model("lab").model, Lora(rank=2), seed=seed)
    return {name: weight for name, weight in model.named_parameters() if "lora_A" in name}


def test_the_seed_makes_the_adapter() -> None:
    once, again, other = adapters(3), adapters(3), adapters(4)
    assert once and all(torch.equal(once[name], again[name]) for name in once)
    assert not any(torch.equal(once[name], other[name]) for name in once)


@pytest.mark.parametrize("targets", ["nonsense", "(", "model", ("norm",)])
def test_targets_that_cannot_be_adapted_are_one_clear_line(targets: str | tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"field 'train.lora.targets': .*all-linear") as caught:
        add_lora(load_model("lab").model, Lora(targets=targets))
    assert "\n" not in str(caught.value)


def test_what_a_folder_lacks_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder has no config.json; give a folder in Hugging Face format"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_bytes((LAB / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((LAB / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match=r"the folder has no tokenizer \(tokenizer.json, "):
        load_model(str(tmp_path))
