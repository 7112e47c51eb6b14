"""Errors of the system and of the command line, told in one line each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import typer

# click's, which typer carries with it under changing names
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# how libraries that raise no OSError say it: safetensors, then torch.save, which gives no reason
FULL = ("no space left on device", "disk quota exceeded")
WRITE_FAILED = ("unexpected pos", "failed writing")
USER_PATHS = (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)
USER_NAMES = {errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS}  # faults of a path that have no class of their own


def system_fault(error: BaseException) -> str | None:
    """One line for an error that the disk or a path made, None for any other."""
    chain = list(_chain(error))
    if (full := next((e for e in chain if _is_full(e)), None)) is not None:
        place = getattr(full, "filename", None) or "disk"
        return f"{place}: no space left; free some and run the same command again, it goes on"
    if any(_is_failed_write(e) for e in chain):
        return "writing a file failed, most likely for want of space; free some and run the same command again"
    if isinstance(error, OSError) and error.filename and (isinstance(error, USER_PATHS) or error.errno in USER_NAMES):
        return f"{error.filename}: {(error.strerror or 'no access').lower()}; give another path, or mend this one"
    return None


def _is_full(error: BaseException) -> bool:
    by_number = isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}
    return by_number or any(words in str(error).lower() for words in FULL)


def _is_failed_write(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and "inline_container.cc" in text and any(w in text for w in WRITE_FAILED)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised from or while handling."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def usage_line(error: Any) -> str | None:
    """One line for a wrong command line; None where the help already says it all (`titer` alone)."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    where = error.ctx.command_path if error.ctx else "titer"
    return f"{message[0].lower()}{message[1:]}; see {where} --help"
