"""Which training a folder holds: `training.json` says what its weights depend on, `samples.parquet` on which samples.

claim_folder(accelerator, out, settings, seed, model, samples)     # or refuses, and says what differs
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from titer.errors import InputError
from titer.objectives import Objective, TokenStats, canonical
from titer.recipe import Train
from titer.store import read_json, read_table, write_json, write_table
from titer.store.checkpoints import kept_checkpoints
from titer.store.layout import as_object
from titer.train.tokens.encode import Sample

NAMED = 3  # traces that a refusal names of each kind


def claim_folder(
    accelerator: Accelerator,
    out: Path,
    settings: Train,
    seed: int,
    model: Any,
    samples: Sequence[Sample],
    f: Objective | None = None,
) -> None:
    """Say in `out` which training it holds, or refuse when it holds another.

    A folder in which no state was saved holds none yet: what a refusal advises to change may be changed. Raises
    InputError when the weights would depend on something else than what stands there.
    """
    known = [(sample.trace_id, _sample_key(sample)) for sample in samples]
    ours = {**_fixed(settings), "seed": seed, "model": _weights_key(model), "traces": _hash(known)}
    if f:
        ours["objective"] = f"{f.name} {_fingerprint(f)}"
    file, table = out / "training.json", out / "samples.parquet"
    theirs = ours
    begun = any((out / name).exists() for name in ("state", ".state.tmp", ".state.old")) or bool(kept_checkpoints(out))
    if file.exists() and begun:
        theirs = read_json(file, as_object, remedy="give another output folder, or remove this one")
    if changed := [key for key, value in ours.items() if theirs.get(key) != value]:
        what = f"{', '.join(changed)} differ"
        if "traces" in changed and table.exists():
            what += f": {_difference({row['trace_id']: row['key'] for row in read_table(table)}, dict(known))}"
        raise InputError(
            f"another training stands here ({what})",
            file=out,
            remedy="give another output folder, or remove this one",
        )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process and not (file.exists() and begun):
        for name in ("objective.json", "endpoint.json"):  # cuts and the endpoint of another training
            (out / name).unlink(missing_ok=True)
        write_table(table, [{"trace_id": name, "key": key} for name, key in known])
        write_json(file, ours)
    accelerator.wait_for_everyone()


def _difference(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """How the traces differ from those that the training began with."""
    kinds = {
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "changed": [name for name, key in new.items() if old.get(name, key) != key],
    }
    parts = [f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names]
    return ", ".join(parts) or "the same ones in another order"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")


def _sample_key(sample: Sample) -> str:
    return hashlib.blake2b(repr((sample.ids, sample.prompt_length)).encode(), digest_size=8).hexdigest()


def _hash(known: Sequence[tuple[str, str]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name, key in known:
        digest.update(f"{name}\n{key}\n".encode())
    return digest.hexdigest()


def _fingerprint(f: Objective) -> str:
    """A hash of what an objective weighs tokens by, for two of one's own may have one name."""
    logp_N = torch.linspace(0.01, 0.99, 99).log()
    entropy_N = torch.linspace(0.1, 3.0, 99)
    weight_N = f.weight(TokenStats(logp_N, entropy_N, entropy_N / 4, entropy_N / 4, entropy_N / 4))
    return hashlib.blake2b(weight_N.detach().float().numpy().round(5).tobytes(), digest_size=8).hexdigest()


def _weights_key(model: Any) -> str:
    """A hash of a few hundred values of every matrix: no training leaves all of them as they were."""
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in model.state_dict().items():
        flat = weight.detach().flatten()
        some = flat[:: max(1, len(flat) // 256)].to("cpu", torch.float32)
        digest.update(name.encode() + some.numpy().tobytes())
    return digest.hexdigest()


def _fixed(settings: Train) -> dict[str, Any]:
    return settings.decisive() | {"objective": canonical(settings.objective)}
