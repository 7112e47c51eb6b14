"""Work on the files of a folder by the workers of a Ray cluster.

parts = each_shard("local", _measure, [{"shard": "traces/a.parquet", "part": "features/part-00000.parquet"}, …])

Workers read and write the files themselves, so that the folders must be theirs too. What goes to them and comes back
is plain values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.store import content_hash


def each_shard(cluster: str, work: Callable[..., Any], asked: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What `work(**one)` gives for each that is asked, in their order, as it comes out of JSON.

    `cluster` is an address, "auto" for the cluster that this machine belongs to, or "local" for one of this machine
    alone. Raises the InputError of the first that has one, and without Ray.
    """
    from titer.generate.workers.ray_engine import connected

    connected(None if cluster == "local" else cluster)
    import ray.data

    rows = [{"place": place, "asked": json.dumps(one)} for place, one in enumerate(asked)]
    data = ray.data.from_items(rows, override_num_blocks=len(rows))
    done = data.map(partial(_said, work)).take_all()
    return [_done(row["said"]) for row in sorted(done, key=lambda row: int(row["place"]))]


def refuse_doubles(ids: Sequence[Iterable[int]], shards: Sequence[Path]) -> None:
    """Raises InputError for an id that stands in two shards, given the `hashed` ids of each."""
    owner = dict[int, Path]()
    for found, shard in zip(ids, shards, strict=True):
        for one in found:
            if owner.setdefault(one, shard) != shard:
                raise InputError(
                    f"an id of {owner[one].name} comes again in {shard.name}",
                    field="id",
                    file=shard,
                    remedy="make the ids unique over all files",
                )


def hashed(name: str) -> int:
    """An id as a number: of a million of them, two agree by chance in one case of a million."""
    return int(content_hash(name)[:15], 16)


def clear_parts(folder: Path) -> None:
    """Make the folder, without the parts that an earlier call left there: it may have had more shards."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob("part-[0-9]*"):
        part.unlink()


def packed(error: InputError) -> list[Any]:
    """An error in plain values."""
    return [error.fault, error.remedy, error.file, error.row, error.field]


def unpacked(values: Sequence[Any]) -> InputError:
    """The same error again."""
    fault, remedy, file, row, field = values
    return InputError(fault, remedy=remedy, file=file, row=row, field=field)


def _said(work: Callable[..., Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker says, in JSON: Ray Data keeps columns, not objects."""
    try:
        said = {"done": work(**json.loads(row["asked"]))}
    except InputError as error:
        said = {"fault": packed(error)}
    return {"place": row["place"], "said": json.dumps(said)}


def _done(said: str) -> Any:
    found = json.loads(said)
    if "fault" in found:
        raise unpacked(found["fault"])
    return found["done"]
