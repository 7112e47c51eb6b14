"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[
    Path, typer.Option("--out", file_okay=False, help="Folder for the results; a second call goes on there.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything random.")]
OnBad = Annotated[str, typer.Option(help="What a bad row does: stop or drop (dropped rows are listed).")]
Server = Annotated[
    str | None,
    typer.Option(
        help="Base URL of an OpenAI-compatible server that serves MODEL, e.g. http://127.0.0.1:8000/v1; several, with "
        "commas between them, share the work."
    ),
]
Settings = Annotated[list[str] | None, typer.Argument(help="Settings as key=value.", metavar="[KEY=VALUE]...")]
