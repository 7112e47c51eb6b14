from __future__ import annotations

from pathlib import Path

import pytest
from training import TOKENIZER, lab_samples, tiny_model

from titer.errors import InputError
from titer.recipe import Lora, Train
from titer.train import require_tracker, train


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio", "mlflow"])
def test_a_tracker_that_is_not_installed_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.tracking._available_trackers", [])
    settings = Train.model_validate({"tracker": name})
    with pytest.raises(InputError, match=f"the package {name} is not installed; pip install {name}"):
        require_tracker(settings)
    with pytest.raises(InputError, match="not installed"):
        train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_no_tracker_needs_no_package() -> None:
    require_tracker(Train())


def test_a_tracked_training_writes_events(tmp_path: Path) -> None:
    """The settings have parts that TensorBoard cannot take as they are: None, lists, blocks."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = Train(tracker="tensorboard", updates=2, batch_size=2, probe_samples=0, lora=Lora(rank=1))
    train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path, progress=False)
    files = [file for file in tmp_path.rglob("events.out.tfevents.*") if "loss" in tags(reader, file)]
    assert len(files) == 1


def tags(reader: object, file: Path) -> list[str]:
    events = reader.EventAccumulator(str(file)).Reload()
    return [tag for tag in events.Tags()["scalars"] if len(events.Scalars(tag)) == 2]
