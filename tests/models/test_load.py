from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from shared import change
from titer.errors import InputError
from titer.models import add_lora, as_folder, describe_model, ends_of, load_model, locate, standing_on
from titer.models.load import LAB
from titer.recipe import Lora
from titer.rollouts import model_identity
from titer.store import file_hash
from titer.train.disk.state import save_checkpoint
from titer.train.scorer import Scorer


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


@pytest.fixture
def chat_base(tmp_path: Path) -> Path:
    """The lab's model as base models come: its end of text is not the token with which the template ends a turn."""
    folder = Path(shutil.copytree(LAB, tmp_path / "base"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text().replace("<|pad|>", "<|endoftext|>")
        (folder / name).write_text(text.replace('"eos_token": "<|end|>"', '"eos_token": "<|endoftext|>"'))
    for name in ("config.json", "generation_config.json"):
        change(folder / name, eos_token_id=0)
    return folder


def named_ends(folder: str | Path) -> Any:
    return json.loads((Path(folder) / "generation_config.json").read_text())["eos_token_id"]


def test_a_checkpoint_names_the_token_with_which_the_template_ends_a_turn(chat_base: Path, tmp_path: Path) -> None:
    """Servers know of no other ends than those of its generation config."""
    loaded = load_model(str(chat_base))
    save_checkpoint(Accelerator(cpu=True), Scorer(loaded.model), loaded.tokenizer, tmp_path / "step-1")
    assert named_ends(tmp_path / "step-1") == [0, 3]
    assert ends_of(str(tmp_path / "step-1"), loaded.tokenizer) == ends_of(str(chat_base), loaded.tokenizer) == {0, 3}


def test_so_do_adapters_that_are_written_out(chat_base: Path, tmp_path: Path) -> None:
    loaded = load_model(str(chat_base))
    add_lora(loaded.model, Lora(rank=1)).save_pretrained(tmp_path / "adapters")
    loaded.tokenizer.save_pretrained(tmp_path / "adapters")
    written = as_folder(str(tmp_path / "adapters"))
    assert named_ends(written.path) == [0, 3]


def test_a_model_that_ends_as_its_template_does_keeps_its_generation_config() -> None:
    assert load_model("lab").model.generation_config.eos_token_id == 3


def test_without_a_generation_config_the_ends_are_those_of_the_config(chat_base: Path) -> None:
    (chat_base / "generation_config.json").unlink()
    change(chat_base / "config.json", eos_token_id=[0, 7])
    loaded = load_model(str(chat_base))
    assert ends_of(str(chat_base), loaded.tokenizer) == set(loaded.model.generation_config.eos_token_id) == {0, 3, 7}


@pytest.fixture
def adapters_on_base(chat_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Adapters trained on a folder that was named by a relative path."""
    monkeypatch.chdir(chat_base.parent)
    loaded = load_model("base")
    add_lora(loaded.model, Lora(rank=1)).save_pretrained("out/adapters")
    loaded.tokenizer.save_pretrained("out/adapters")
    return chat_base.parent / "out" / "adapters"


def test_adapters_work_from_another_folder(adapters_on_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert load_model(str(adapters_on_base)).model.config.hidden_size
    assert describe_model(str(adapters_on_base)).config.hidden_size


def test_adapters_find_a_base_relative_to_themselves(adapters_on_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(adapters_on_base / "adapter_config.json", base_model_name_or_path="../../base")
    monkeypatch.chdir("/")
    assert standing_on(str(adapters_on_base)) == [str(adapters_on_base), str(adapters_on_base.parents[1] / "base")]
    assert load_model(str(adapters_on_base)).model.config.hidden_size


def test_adapters_whose_base_is_gone_say_so(adapters_on_base: Path) -> None:
    change(adapters_on_base / "adapter_config.json", base_model_name_or_path="gone")
    for reads in (load_model, describe_model, standing_on, model_identity):
        with pytest.raises(InputError, match=r"the adapter '.*adapters' stands on 'gone', which is not here"):
            reads(str(adapters_on_base))
    change(adapters_on_base / "adapter_config.json", base_model_name_or_path=str(adapters_on_base))
    with pytest.raises(InputError, match="stand on themselves"):
        standing_on(str(adapters_on_base))


def test_adapters_are_others_when_their_base_changes(adapters_on_base: Path, chat_base: Path) -> None:
    """Or rollouts of both would be taken for those of one model."""
    before, whole = model_identity(str(adapters_on_base)), model_identity(str(chat_base))
    assert before == model_identity(str(adapters_on_base)) != whole == file_hash(chat_base)
    change(chat_base / "generation_config.json", top_k=7)
    assert model_identity(str(adapters_on_base)) != before
