"""Model folders and saved states that would run code when they are read: one line, and nothing has run."""

from __future__ import annotations

import enum
import pathlib
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from shared import change
from titer.errors import InputError
from titer.models import add_lora, as_folder, describe_model, load_model, locate
from titer.recipe import Lora
from titer.train.disk.safely import refuse_foreign
from titer.train.disk.state import load_state, save_state


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(locate("lab"), tmp_path / "model"))


def module(canary: Path) -> str:
    """A module that makes the file when it is imported, with the names that `auto_map` asks for."""
    names = ("C", "M", "T")
    return f"open({str(canary)!r}, 'w')\n" + "".join(f"class {name}: pass\n" for name in names)


def pickled_weights(folder: Path, canary: Path) -> None:
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save({"model.embed_tokens.weight": Touches(canary)}, folder / "pytorch_model.bin")


def remote_model(folder: Path, canary: Path) -> None:
    (folder / "evil.py").write_text(module(canary))
    change(
        folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
    )


def remote_tokenizer(folder: Path, canary: Path) -> None:
    (folder / "evil.py").write_text(module(canary))
    auto = {"AutoTokenizer": ["evil.T", "evil.T"]}
    change(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer", auto_map=auto)


def pickled_adapters(folder: Path, canary: Path) -> None:
    loaded = load_model("lab")
    shutil.rmtree(folder)
    add_lora(loaded.model, Lora(rank=1)).save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    (folder / "adapter_model.safetensors").unlink()
    torch.save({"x": Touches(canary)}, folder / "adapter_model.bin")


def remote_adapters(folder: Path, canary: Path) -> None:
    """Adapters whose own tokenizer, or whose base, brings code."""
    base = folder.with_name("base")
    shutil.copytree(folder, base)
    remote_model(base, canary)
    loaded = load_model("lab")
    shutil.rmtree(folder)
    add_lora(loaded.model, Lora(rank=1)).save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    change(folder / "adapter_config.json", base_model_name_or_path=str(base))


def adapters_on_themselves(folder: Path, canary: Path) -> None:
    add_lora(load_model("lab").model, Lora(rank=1)).save_pretrained(folder)
    change(folder / "adapter_config.json", base_model_name_or_path=str(folder))


def adapters_in_a_circle(folder: Path, canary: Path) -> None:
    other = folder.with_name("other")
    for one, base in ((folder, other), (other, folder)):
        add_lora(load_model("lab").model, Lora(rank=1)).save_pretrained(one)
        change(one / "adapter_config.json", base_model_name_or_path=str(base))


def senseless_config(folder: Path, canary: Path) -> None:
    change(folder / "config.json", hidden_size="wide", num_hidden_layers=None)


def broken_tokenizer(folder: Path, canary: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE", "vocab": 7}}')


HOSTILE: list[Callable[[Path, Path], None]] = [
    pickled_weights, remote_model, remote_tokenizer, pickled_adapters, remote_adapters, adapters_on_themselves,
    adapters_in_a_circle, senseless_config, broken_tokenizer,
]  # fmt: skip


@pytest.mark.parametrize("make", HOSTILE)
def test_a_hostile_model_is_one_line_and_runs_nothing(
    folder: Path, tmp_path: Path, make: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    make(folder, canary)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether code may run"))
    with pytest.raises(InputError, match="cannot load model") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value) and not canary.exists()
    if make is not pickled_weights:  # of which the description is sound
        return
    assert describe_model(str(folder)).config.hidden_size


@pytest.mark.parametrize("make", [remote_model, remote_tokenizer, remote_adapters])
def test_neither_a_description_nor_a_folder_for_another_engine_runs_code(
    folder: Path, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    canary = tmp_path / "canary"
    make(folder, canary)
    with pytest.raises(InputError, match="cannot load model"):
        describe_model(str(folder))
    if make is remote_adapters:
        with pytest.raises(InputError, match="cannot load model"):
            as_folder(str(folder))
    assert not canary.exists()


def test_code_for_generation_beside_sound_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(module(canary) + "def generate(model, **rest): pass\n")
    try:
        load_model(str(folder))
    except InputError as error:
        assert "\n" not in str(error)
    assert not canary.exists()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Accelerator, Any, list[Any], Path]:
    """A saved state of two updates, and what it is of."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    accelerator = Accelerator(cpu=True)
    save_state(accelerator, model, [optimizer], tmp_path, 2)
    return accelerator, model, [optimizer], tmp_path


def test_a_saved_state_is_read(saved: tuple[Accelerator, Any, list[Any], Path]) -> None:
    accelerator, model, optimizers, out = saved
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.zero_()
    assert load_state(accelerator, model, optimizers, out, 0) == 2
    assert torch.equal(model.weight, before)


class EarlyPickler(pickle.Pickler):
    """Writes members of an enum as Python 3.11.0 to 3.11.3 do."""

    def reducer_override(self, value: Any) -> Any:
        return (getattr, (type(value), value.name)) if isinstance(value, enum.Enum) else NotImplemented


def test_a_state_that_an_early_python_3_11_saved_is_read(saved: tuple[Accelerator, Any, list[Any], Path]) -> None:
    accelerator, model, optimizers, out = saved
    file = out / "state" / ".metadata"
    metadata = pickle.loads(file.read_bytes())
    with file.open("wb") as early:
        EarlyPickler(early).dump(metadata)
    assert b"getattr" in file.read_bytes()
    assert load_state(accelerator, model, optimizers, out, 0) == 2


def test_a_state_that_python_3_13_saved_is_read(
    saved: tuple[Accelerator, Any, list[Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its paths are of a module that other versions lack; where they are read, it is there."""
    out = saved[3]
    if "pathlib._local" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pathlib._local", pathlib)
    (out / "state" / ".metadata").write_bytes(b"cpathlib._local\nPosixPath\n(Va\ntR.")
    refuse_foreign(out / "state")


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="reads them")
def test_a_state_of_a_newer_python_is_refused_in_one_line(saved: tuple[Accelerator, Any, list[Any], Path]) -> None:
    accelerator, model, optimizers, out = saved
    (out / "state" / ".metadata").write_bytes(b"cpathlib._local\nPosixPath\n(Va\ntR.")
    with pytest.raises(InputError, match=r"the state cannot be read: .*go on with the versions"):
        load_state(accelerator, model, optimizers, out, 0)


class Reaches:
    """An attribute of a class that a state may name."""

    def __reduce__(self) -> Any:
        return getattr, (torch.Size, "numel")


def test_no_other_attribute_is_reached(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Reaches()))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.getattr"):
        refuse_foreign(tmp_path)


def in_metadata(state: Path, canary: Path) -> None:
    (state / ".metadata").write_bytes(pickle.dumps(Touches(canary)))


def in_metadata_of_a_rank(state: Path, canary: Path) -> None:
    (state / ".metadata").rename(state / "__0.metadata")
    (state / "__0.metadata").write_bytes(pickle.dumps(Touches(canary)))


def in_random_state(state: Path, canary: Path) -> None:
    torch.save({"cpu": Touches(canary), "cuda": []}, state / "random-0.pt")


def in_values(state: Path, canary: Path) -> None:
    """The optimizer's numbers are stored as what `torch.save` makes of them, one behind the other."""
    metadata = pickle.loads((state / ".metadata").read_bytes())
    hostile = state / "hostile"
    torch.save(Touches(canary), hostile)
    for index, place in metadata.storage_data.items():
        if index.fqn.endswith(".lr"):
            place.relative_path, place.offset, place.length = "hostile", 0, hostile.stat().st_size
    (state / ".metadata").write_bytes(pickle.dumps(metadata))


@pytest.mark.parametrize("put", [in_metadata, in_metadata_of_a_rank, in_random_state, in_values])
def test_a_hostile_state_is_one_line_and_runs_nothing(
    saved: tuple[Accelerator, Any, list[Any], Path], tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    accelerator, model, optimizers, out = saved
    canary = tmp_path / "canary"
    put(out / "state", canary)
    with pytest.raises(InputError, match="the state cannot be read") as caught:
        load_state(accelerator, model, optimizers, out, 0)
    assert "\n" not in str(caught.value) and not canary.exists()


@pytest.mark.parametrize("name", ["step.json", ".metadata", "random-0.pt", "__0_0.distcp"])
def test_half_a_state_is_one_line(saved: tuple[Accelerator, Any, list[Any], Path], name: str) -> None:
    accelerator, model, optimizers, out = saved
    file = out / "state" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="the state cannot be read") as caught:
        load_state(accelerator, model, optimizers, out, 0)
    assert "\n" not in str(caught.value)
