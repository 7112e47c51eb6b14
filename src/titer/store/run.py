"""The run directory: one folder a stage, and a manifest that says what made each.

    run = Run.open(Path("runs/quickstart"), name="quickstart", recipe_text=text)
    folder = run.stage("measure", {"model": key, "seed": 0}, build)   # build(work_folder) fills it

A stage is addressed by its inputs. When the manifest holds the same inputs, nothing runs; otherwise `build` fills
a work folder that is kept across crashes (so that `build` can go on where it stopped) and takes its final name in
one step.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from titer.errors import InputError
from titer.records.writing import sync_folder
from titer.store.atomic import drop_stage, publish, write_json, write_text
from titer.store.layout import KEY, LOCK, MANIFEST, STAGE, as_object, read_json
from titer.store.mirror import Mirror, fetched

FORMAT = 1
PACKAGES = ("titer", "torch", "transformers", "accelerate", "peft", "math-verify", "reasoning-gym")


def content_hash(value: Any) -> str:
    """A short hash of plain data, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def file_hash(path: str | Path) -> str:
    """A hash of a file's bytes; of a folder: of its files' names and bytes."""
    path = Path(path)
    if not path.exists():
        raise InputError("no such file", file=path, remedy="check the path")
    if path.is_dir():
        return content_hash({str(p.relative_to(path)): file_hash(p) for p in sorted(path.rglob("*")) if p.is_file()})
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def versions() -> dict[str, str]:
    """Versions of what the results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """An open run directory."""

    path: Path
    mirror: Mirror | None = None

    @classmethod
    def open(
        cls,
        place: Path | str,
        *,
        name: str,
        recipe_text: str,
        model: str = "",
        said: Callable[[str], None] = lambda _: None,
    ) -> Run:
        """Create the directory or go on in an existing one; writes the resolved recipe.

        `place` may be an address (`s3://bucket/run`): the run then works in a folder of this machine, goes on from what
        is finished there, and puts each stage there when it is finished. Raises InputError when the folder holds
        something else than a run, or the run of another `model` (what it took hours to make would be replaced), and for
        an address that cannot be read.
        """
        path, mirror = fetched(place, said)
        if holds_other(path) and not (path / MANIFEST).exists() and not _is_run(path):
            raise InputError("not a run directory, and not empty", file=path, remedy="give another --out")
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, mirror)
        if not (path / MANIFEST).exists() or not run.manifest["stages"]:  # what failed at once fixes no model
            write_json(path / MANIFEST, {"format": FORMAT, "name": name, "model": model, "stages": {}})
        elif (other := run.manifest.get("model") or model) != model:
            raise InputError(f"holds a run of the model {other}", file=path, remedy="give another --out, or remove it")
        write_text(path / "recipe.yaml", recipe_text)
        return run

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it stands on disk."""
        return read_manifest(self.path)

    def stage(
        self,
        name: str,
        inputs: Mapping[str, Any],
        build: Callable[[Path], None],
        *,
        spent: Sequence[str] = (),
        said: Callable[[str], None] = lambda _: None,
    ) -> Path:
        """The folder of stage `name` for these inputs, built if it is not there. `said` hears what happens; `spent`
        names what `build` leaves that is of use only for going on after a crash: it goes once the stage is finished."""
        key, final = content_hash([name, inputs]), self.path / name
        # what the folder says of itself counts: a kill may fall between its publication and the manifest
        made = _made_by(final)
        if made.get("key") == key:
            self._finish(name, made, spent)
            said(f"{name}: unchanged, kept")
            return final
        if self.mirror and self.mirror.take(name, key):
            said(f"{name}: fetched from {self.mirror.url}")
            return final
        work = self.path / "work" / f"{name}-{key[:KEY]}"
        work.mkdir(parents=True, exist_ok=True)
        said(f"{name}: running")
        began, clock = time.time(), time.monotonic()
        build(work)
        made = _made(key, inputs, began, time.monotonic() - clock)
        write_json(work / STAGE, made)
        publish(work, final)
        self._finish(name, made, spent)
        return final

    def leave_out(self, name: str) -> None:
        """Remove a stage that the recipe no longer has, so that no later reader finds it."""
        manifest = self.manifest
        if manifest["stages"].pop(name, None):
            write_json(self.path / MANIFEST, manifest)
        drop_stage(self.path / name)
        if self.mirror:
            self.mirror.forget(name)

    def key(self, name: str) -> str:
        """The key of a finished stage: what a later stage names as its input."""
        return str(self.manifest["stages"][name]["key"])

    def sweep(self) -> None:
        """Remove work folders that no longer belong to anything."""
        shutil.rmtree(self.path / "work", ignore_errors=True)
        sync_folder(self.path)

    def _finish(self, name: str, made: Mapping[str, Any], spent: Sequence[str]) -> None:
        """What follows publication; a kill may fall between any two of these."""
        for place in (self.path / name / one for one in spent):
            if place.is_dir():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
        self._record(name, made)
        if self.mirror:
            self.mirror.commit(name)

    def _record(self, name: str, made: Mapping[str, Any]) -> None:
        manifest = self.manifest
        if manifest["stages"].get(name) != made:
            manifest["stages"][name] = made
            write_json(self.path / MANIFEST, manifest)


def _checked(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same, where later readers find what they rely on. Raises what `reading` expects where they do not."""
    str(manifest["name"])
    for made in manifest["stages"].values():
        str(made["key"])
        float(made["seconds"])
        for part in ("inputs", "versions", "machine"):
            as_object(made.get(part, {}))
    return manifest


def holds_other(path: Path) -> bool:
    """Whether a folder is there and has anything in it but the lock of a call."""
    return path.exists() and any(one.name != LOCK for one in path.iterdir())


def _is_run(path: Path) -> bool:
    """Whether a folder without a manifest is a run's all the same: its stages say what made them."""
    return (path / "recipe.yaml").exists() and any(path.glob(f"*/{STAGE}"))


def _made_by(folder: Path) -> dict[str, Any]:
    """What a stage's folder says that made it, if it says so. Raises InputError where that is broken."""
    file = folder / STAGE
    again = "remove its folder, and the stage is run again"
    return read_json(file, as_object, remedy=again) if file.exists() else {}


def _made(key: str, inputs: Mapping[str, Any], began: float, seconds: float) -> dict[str, Any]:
    """What made a stage. `seconds` are those of the attempt that finished it, by a clock that nobody sets back."""
    return {
        "key": key,
        "inputs": json.loads(json.dumps(inputs, default=str)),
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(seconds, 2),
        "versions": versions(),
        "machine": {"platform": platform.platform(), "python": sys.version.split()[0]},
    }


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run directory. Raises InputError when there is none, or a broken one."""
    file = path / MANIFEST
    if not file.is_file():
        raise InputError("no manifest.json, so not a run directory", file=path, remedy="give the folder of a run")
    again = "remove it, and `titer run` writes it again from what the stages' folders say"
    return read_json(file, lambda found: _checked(as_object(found)), remedy=again)
