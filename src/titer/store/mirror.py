"""A run directory that is kept elsewhere: on S3, GCS, another machine, whatever fsspec knows.

    mirror = Mirror.of("s3://bucket/runs/first")     # None for an ordinary path
    mirror.local                                     # the run works in a folder of this machine
    mirror.fetch()                                   # what other machines have finished
    mirror.commit("train")                           # a stage that this one has finished

Objects are not renamed, so a stage goes up under its key, which nobody reads yet, and appears with the manifest that
names it: a single object, replaced as a whole. What is in the works stays on the machine that does it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.store.atomic import as_json, drop_stage, publish, write_json
from titer.store.layout import KEY, MANIFEST, STAGE, as_object, read_json

THERE = "there.json"  # by stage, the key of the one that was last put there or fetched
BESIDE = ("recipe.yaml", "report.html", "summary.json", "scores.parquet", "differences.parquet", "moves.parquet")
"""Files of a run that belong to no stage."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A run directory elsewhere, and the folder in which this machine works on it."""

    url: str
    local: Path

    @classmethod
    def of(cls, place: str | Path) -> Mirror | None:
        """The mirror at an address such as `s3://bucket/run`; None for a path of this machine.

        The folder beside it is `$TITER_CACHE`, or `~/.cache/titer`, by the address' hash.
        """
        url = str(place).rstrip("/")
        if "://" not in url:
            return None
        cache = Path(os.environ.get("TITER_CACHE") or Path.home() / ".cache" / "titer")
        name = f"{url.rsplit('/', 1)[-1]}-{hashlib.blake2b(url.encode(), digest_size=6).hexdigest()}"
        return cls(url, cache / name)

    def fetch(self, said: Callable[[str], None] = lambda _: None, *, reading: bool = False) -> None:
        """Bring what the manifest there names and this machine has not: finished stages, and what stands beside them.
        A stage that stood there and does no more goes here too.

        A stage that was made here and could not be put there stays: a run that goes on puts it there. Raises InputError
        where the place cannot be read, and, for one who only reads, where such a stage stands here: with the others it
        would be a mixture of two runs.
        """
        with _refusals(self.url):
            theirs = self._manifest()
            if theirs is None:
                return
            ours = _read(self.local / MANIFEST) or {**theirs, "stages": {}}
            write_json(self.local / MANIFEST, ours)
            there = _read(self.local / THERE)
            for stage, made in theirs["stages"].items():
                here = (_read(self.local / stage / STAGE) or {}).get("key")
                if here not in (None, made["key"]) and there is not None and there.get(stage) != here:
                    if reading:
                        raise InputError(
                            f"{stage} was made on this machine and has not been put there",
                            file=self.local,
                            remedy="run it on: the same `titer run` puts it there",
                        )
                    continue
                if here != made["key"]:
                    said(f"{stage}: fetched from {self.url}")
                    self._take(stage, made, ours)
                self._note_there(stage, made["key"])
            system, root = self._place()
            for stage in [name for name in ours["stages"] if name not in theirs["stages"]]:
                here = (_read(self.local / stage / STAGE) or {}).get("key")
                if here is not None and (there or {}).get(stage) == here:
                    self._drop(stage, ours)
            for name in BESIDE:
                if system.exists(f"{root}/{name}"):
                    system.get_file(f"{root}/{name}", str(self.local / name))

    def take(self, stage: str, key: str) -> bool:
        """Bring a stage with this key, if it is there: another machine may have made the very one."""
        with _refusals(self.url):
            made = (self._manifest() or {"stages": {}})["stages"].get(stage, {})
            if made.get("key") != key:
                return False
            self._take(stage, made, _read(self.local / MANIFEST) or {"stages": {}})
            self._note_there(stage, key)
            return True

    def commit(self, stage: str) -> None:
        """Put a finished stage there, then the manifest that names it. Raises InputError where that is not allowed."""
        made = _read(self.local / MANIFEST)
        assert made is not None
        with _refusals(self.url):
            system, root = self._place()
            entry = made["stages"][stage]
            theirs = self._manifest() or {**made, "stages": {}}
            if theirs["stages"].get(stage, {}).get("key") == entry["key"]:
                return self._note_there(stage, entry["key"])
            folder = f"{root}/{stage}/{entry['key'][:KEY]}"
            for path in sorted((self.local / stage).rglob("*")):
                if path.is_file():
                    system.put_file(str(path), f"{folder}/{path.relative_to(self.local / stage).as_posix()}")
            old = theirs["stages"].get(stage)
            # others may have finished stages in the meantime: theirs stay
            theirs["stages"][stage] = entry
            self._put(MANIFEST, theirs)
            self._note_there(stage, entry["key"])
            if old:
                system.rm(f"{root}/{stage}/{old['key'][:KEY]}", recursive=True)
            return None

    def forget(self, stage: str) -> None:
        """Take a stage out of the manifest there, then away."""
        self._forget_there(stage)  # else one made anew, with the same key, would pass for one that others have left out
        with _refusals(self.url):
            theirs = self._manifest()
            if theirs and theirs["stages"].pop(stage, None):
                self._put(MANIFEST, theirs)
                system, root = self._place()
                system.rm(f"{root}/{stage}", recursive=True)

    def commit_beside(self) -> None:
        """Put what belongs to no stage there: the recipe, the report and its tables."""
        with _refusals(self.url):
            system, root = self._place()
            for name in BESIDE:
                if (self.local / name).exists():
                    system.put_file(str(self.local / name), f"{root}/{name}")

    def _fetch_stage(self, stage: str, key: str) -> None:
        system, root = self._place()
        folder, work = f"{root}/{stage}/{key[:KEY]}", self.local / f".{stage}.tmp"
        shutil.rmtree(work, ignore_errors=True)
        for name in system.find(folder):
            file = work / str(name)[len(folder) + 1 :]
            file.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(name, str(file))
        publish(work, self.local / stage)

    def _take(self, stage: str, made: Mapping[str, Any], ours: dict[str, Any]) -> None:
        """Fetch a stage into its folder and into the manifest here."""
        self._fetch_stage(stage, made["key"])
        ours["stages"][stage] = made
        write_json(self.local / MANIFEST, ours)

    def _drop(self, stage: str, ours: dict[str, Any]) -> None:
        """Remove a stage that stood there and that another machine has left out since."""
        del ours["stages"][stage]
        write_json(self.local / MANIFEST, ours)
        drop_stage(self.local / stage)
        self._forget_there(stage)

    def _note_there(self, stage: str, key: str) -> None:
        write_json(self.local / THERE, {**(_read(self.local / THERE) or {}), stage: key})

    def _forget_there(self, stage: str) -> None:
        there = _read(self.local / THERE) or {}
        if there.pop(stage, None):
            write_json(self.local / THERE, there)

    def _manifest(self) -> dict[str, Any] | None:
        system, root = self._place()
        system.invalidate_cache()
        if not system.exists(f"{root}/{MANIFEST}"):
            return None
        return dict(json.loads(system.cat_file(f"{root}/{MANIFEST}")))

    def _put(self, name: str, value: Any) -> None:
        system, root = self._place()
        data = as_json(value, indent=2).encode()
        if "file" in system.protocol or "local" in system.protocol:  # which could be torn, as an object cannot
            system.pipe_file(f"{root}/{name}.tmp", data)
            system.mv(f"{root}/{name}.tmp", f"{root}/{name}")
        else:
            system.pipe_file(f"{root}/{name}", data)

    def _place(self) -> tuple[Any, str]:
        """The file system and the path on it."""
        import fsspec

        system, root = fsspec.core.url_to_fs(self.url, auto_mkdir=True) if _is_file(self.url) else _there(self.url)
        return system, str(root).rstrip("/")


def fetched(
    place: str | Path, said: Callable[[str], None] = lambda _: None, *, reading: bool = False
) -> tuple[Path, Mirror | None]:
    """The folder of a run on this machine, and its mirror where `place` is an address: what is finished there is
    fetched first, with a line each to `said`. A path of this machine is returned as it is, made or not.

    Raises InputError as `Mirror.fetch` does, `reading` for one who does not go on with the run.
    """
    mirror = Mirror.of(place)
    if mirror is None:
        return Path(place), None
    mirror.local.mkdir(parents=True, exist_ok=True)
    mirror.fetch(said, reading=reading)
    return mirror.local, mirror


def _there(url: str) -> Any:
    import fsspec

    return fsspec.core.url_to_fs(url)


def _is_file(url: str) -> bool:
    return url.startswith(("file://", "local://"))


def _read(file: Path) -> dict[str, Any] | None:
    again = "remove it, and the same command fetches it again"
    return read_json(file, as_object, remedy=again) if file.exists() else None


@contextmanager
def _refusals(url: str) -> Iterator[None]:
    """What a place refuses, in one line."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{url}: {error}", field="--out", remedy="install what it names") from None
    except PermissionError as error:
        raise InputError(f"{url} allows no access: {error}", field="--out", remedy="check the credentials") from None
    except InputError:
        raise
    except Exception as error:  # of whatever client the place wants: of S3's not all are OSErrors
        line = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{url}: {line}", field="--out", remedy="check the address; the same command goes on"
        ) from error
