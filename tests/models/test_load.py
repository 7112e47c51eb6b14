from __future__ import annotations

from pathlib import Path

import pytest
import torch

from titer.errors import InputError
from titer.models import load_model, locate


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
