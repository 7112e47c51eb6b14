"""Whether a training fits: its peak of memory, predicted without weights, and measured.

predicted = predict("smollm2", Train(), length=512)
predicted.total, measured_peak("smollm2", Train(), length=512)

Predicted is the second of several forward passes of an update, when weights, gradients and the optimizer's averages
are all there: the model is built of tensors without storage, run once, and what autograd would keep is counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final, NamedTuple

from titer.errors import InputError
from titer.models import describe_model
from titer.recipe import Lora, Train

HEAP: Final = 1.6
"""On CPU the C library's heap cannot give back all that lies between activations: measured with glibc 2.36, which takes
so many times what they need (1.0 where it is told to give back at once, which makes training half as slow again)."""
CHUNK: Final = 96  # tokens of which logits exist at once, at most


class UnpredictableError(InputError):
    """A model that does not run on tensors without storage: its memory can only be measured."""


class Memory(NamedTuple):
    """Bytes of a training on one device, beside the interpreter and its libraries. `base` is the copy of the model
    that an objective with a divergence from it holds."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    base: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def predict(model: str, settings: Train, *, length: int) -> Memory:
    """The peak of training on samples of `length` tokens, half of them trained. Raises InputError as `describe_model`.

    Adapters (`lora`) keep weights without gradients. Not predicted: what adapters themselves keep of a pass, which is
    much (the lab's model with rank 4 takes 1.7 to 1.9 times what is predicted), and sharding, which divides the first
    three by the number of processes. Raises UnpredictableError for a model whose pass needs the values of its tensors.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    from titer.objectives import holds_base
    from titer.processes import this_process
    from titer.train.precision import in_bf16, recompute_activations
    from titer.train.scorer import freeze_unread

    device = this_process().device
    config = describe_model(model).config
    rows = max(1, min(settings.batch_size, settings.micro_tokens // length))
    # weights are not drawn: some ways to draw them look at what came out
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(device), no_init_weights():
        student = AutoModelForCausalLM.from_config(config, dtype=torch.float32).train()
        if settings.gradient_checkpointing:
            recompute_activations(student)
        student.tie_weights()  # which drawing them would have done
        freeze_unread(student)
        weights = 4 * sum(weight.numel() for weight in student.parameters())
        whole = 4 * sum(weight.numel() for weight in student.parameters() if weight.requires_grad)
        try:
            activations = _kept(student, rows, length, packed=settings.packing, half=in_bf16(settings))
        except Exception as error:  # of whatever a model's own code does with values that are not there
            fault = f"the memory of a {config.model_type} cannot be predicted: {type(error).__name__}"
            raise UnpredictableError(fault, field="model", remedy="measure it: titer doctor --measure") from error
    trained = 4 * _adapted(config, settings.lora) if settings.lora else whole
    if device.type == "cpu":
        activations = round(HEAP * activations)
    head = _head(config.get_text_config(), rows * length // 2)
    return Memory(weights, trained, 2 * trained, activations, head, weights if holds_base(settings.objective) else 0)


def _adapted(config: Any, lora: Lora) -> int:
    """Parameters of the adapters."""
    import torch
    from transformers import AutoModelForCausalLM

    from titer.models import add_lora

    with torch.device("meta"):
        student = add_lora(AutoModelForCausalLM.from_config(config), lora)
    return sum(weight.numel() for weight in student.parameters() if weight.requires_grad)


def _head(config: Any, tokens: int) -> int:
    """What `titer.objectives.head` takes: its gradients of the weight and the hidden states, and the logits of a chunk
    of tokens with theirs."""
    width, vocabulary = config.hidden_size, config.vocab_size
    return int(4 * (vocabulary * width + tokens * width + 3 * min(tokens, CHUNK) * vocabulary))


def measured_peak(model: str, settings: Train, *, length: int) -> int:
    """The same by training, in a process of its own: its peak, less what it held before the weights were there.

    Raises InputError where that process does not end well, which says that it does not fit.
    """
    asked = json.dumps({"model": model, "train": settings.model_dump(mode="json"), "length": length})
    done = subprocess.run(
        [sys.executable, "-m", "titer.doctor.peak"], input=asked, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if "%|" not in line]  # no bar of progress
        said = lines[-1] if lines else f"status {done.returncode}"
        if done.returncode < 0:
            said = f"it was killed by signal {-done.returncode}, as one that takes too much memory is"
        raise InputError(f"training does not end: {said[:200]}", field="train", remedy="lower train.micro_tokens")
    return int(json.loads(done.stdout.splitlines()[-1])["peak"])


def _kept(student: Any, rows: int, length: int, *, packed: bool, half: bool) -> int:
    """Bytes that autograd keeps of one forward pass, weights not counted.

    Packed, the samples stand in one row, and positions that restart make the model mask them from each other: a mask of
    row × row for every layer. Otherwise the mask that it makes is not counted: it makes none where it can see that the
    positions follow each other, which tensors without storage do not show.
    """
    import torch

    weights = {weight.untyped_storage()._cdata for weight in student.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        is_mask = tensor.shape == (rows, 1, length, length)
        if storage._cdata not in weights and (packed or not is_mask):
            kept[storage._cdata] = storage.nbytes(), tensor  # the tensor too, or another could get its address
        return tensor

    decoder = student.get_decoder()  # of text alone: what else a model reads, a training of text does not run
    device = next(student.parameters()).device
    batch_BT = {"input_ids": torch.zeros(rows, length, dtype=torch.long, device=device)}
    if packed:
        positions_1T = torch.arange(length, device=device).repeat(1, rows)
        batch_BT = {"input_ids": batch_BT["input_ids"].view(1, -1), "position_ids": positions_1T}
    with (
        _grouped_products(),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(device.type, torch.bfloat16, enabled=half),
    ):
        decoder(**batch_BT, use_cache=False)
    return sum(size for size, _ in kept.values())


def _grouped_products() -> Any:
    """A mode in which the grouped products of experts keep what they do in float32, although without storage torch has
    them in bfloat16 alone: each row times one expert's matrix, as if all went to the first."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Grouped(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is not getattr(torch, "_grouped_mm", None):
                return func(*args, **(kwargs or {}))
            rows_SD, experts_EDF = args
            with torch.autocast(rows_SD.device.type, enabled=False):
                return rows_SD @ experts_EDF[0]

    return Grouped()
