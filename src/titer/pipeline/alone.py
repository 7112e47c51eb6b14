"""One call at a time in a folder: two would write into each other's files.

    with locked("runs/quickstart"):
        ...

    @alone
    def measure(model: str, *, out: str | Path) -> MeasureResult: ...

The kernel lets go of the folder when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from titer.errors import InputError
from titer.processes import is_main
from titer.store import Mirror
from titer.store.layout import LOCK

TRIES = 100  # of a lock whose holder has ended meanwhile

P = ParamSpec("P")
T = TypeVar("T")


def alone(verb: Callable[P, T]) -> Callable[P, T]:
    """The verb, with its folder `out` held for the length of a call. Raises InputError where another call holds it."""

    @wraps(verb)
    def alone_verb(*args: P.args, **kwargs: P.kwargs) -> T:
        if "out" not in kwargs:  # which the verb refuses
            return verb(*args, **kwargs)
        with locked(Path(str(kwargs["out"]))):
            return verb(*args, **kwargs)

    return alone_verb


@contextmanager
def locked(place: str | Path) -> Iterator[None]:
    """Hold a folder, or the one in which a run at an address works; of the processes of one launch the main one does.

    A folder that was made to be held and stays empty goes again. Where files cannot be locked nothing is held. Raises
    InputError where another process holds it.
    """
    if not is_main():
        yield
        return
    mirror = Mirror.of(place)
    folder = mirror.local if mirror else Path(place)
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    lock = _lock_of(folder)
    try:
        yield
    finally:
        if lock is not None:
            (folder / LOCK).unlink(missing_ok=True)
            os.close(lock)
        with suppress(OSError):  # what the call has written into
            for one in made:
                one.rmdir()


def _lock_of(folder: Path) -> int | None:
    """The descriptor of the folder's lock; None where nothing can be locked, of which the call itself will tell."""
    for _ in range(TRIES):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # another call has just ended, and taken its empty folder away
            continue
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _stands(folder / LOCK, lock):
                return lock
        except BlockingIOError:
            os.close(lock)
            remedy = "wait until it has ended, or give another --out"
            raise InputError("another titer works here", file=folder, remedy=remedy) from None
        except OSError:  # a file system without locks
            os.close(lock)
            (folder / LOCK).unlink(missing_ok=True)
            return None
        os.close(lock)  # of a call that has just ended
    return None


def _stands(file: Path, lock: int) -> bool:
    """Whether what is locked is still the file of that name."""
    try:
        return os.path.samestat(file.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
