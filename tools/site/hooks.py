"""What MkDocs calls while it builds the site: pages that are made, and links that leave docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # MkDocs takes its hooks' folder off again

import api
from mkdocs.structure.files import File, Files

import verbs

ROOT = Path(__file__).parents[2]


def on_config(config: Any) -> Any:
    """The made pages take their places in the navigation; pages that it does not name come before the last."""
    *named, last = config.nav
    left = [file.name for file in sorted(Path(config.docs_dir).glob("*.md")) if file.name not in str(config.nav)]
    config.nav = [*map(_filled, named), *left, last]
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Adds a page for each verb and room, and the diary, which lies outside of docs/."""
    made = {f"verbs/{verb.file}.md": verbs.page(verb) for verb in verbs.verbs()}
    made |= {f"api/{api.file(room)}.md": api.page(room) for room in api.ROOMS}
    made |= {"diary.md": (ROOT / "LOG.md").read_text(encoding="utf-8")}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links of the repository's own files lead to the pages that are made of them."""
    if page.file.src_uri == "diary.md":
        return re.sub(r"\]\(docs/", "](", markdown)
    if page.file.src_uri == "verbs.md":
        markdown = _linked(markdown)
    return markdown.replace("](../LOG.md", "](diary.md").replace("](../README.md", "](index.md")


def _linked(table: str) -> str:
    """The overview of the verbs, each with a link to its page."""
    for verb in verbs.verbs():
        table = table.replace(f"\n| `{verb.name}` |", f"\n| [`{verb.name}`](verbs/{verb.file}.md) |")
    return table


def _filled(entry: Any) -> Any:
    if entry == {"Verbs": "verbs.md"}:
        return {"Verbs": [{"Overview": "verbs.md"}, *({verb.name: f"verbs/{verb.file}.md"} for verb in verbs.verbs())]}
    if entry == {"Python": "api"}:
        return {"Python": [{room: f"api/{api.file(room)}.md"} for room in api.ROOMS]}
    return entry
