"""The progress bar of a training, on stderr: loss, token accuracy, tokens a second, time left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """A bar that does nothing when it is not shown: `with Bar(100, 0, shown=True) as bar`."""

    def __init__(self, updates: int, first: int, *, shown: bool) -> None:
        """Starts at update `first` of `updates`."""
        self.bar = Progress(
            TextColumn("sft"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self.loss = self.accuracy = self.pace = ""
        self.task = self.bar.add_task("sft", total=updates, completed=first, said="")

    def probed(self, token_accuracy: float) -> None:
        """Show the latest token accuracy on the fixed subset."""
        self.accuracy = f"token accuracy {token_accuracy:.3f} "
        self.bar.update(self.task, said=self._said())

    def updated(self, row: Mapping[str, Any]) -> None:
        """One update further."""
        self.loss, self.pace = f"loss {row['loss']:.4f} ", f"{row['tokens_per_second']:,.0f} tokens/s"
        self.bar.update(self.task, advance=1, said=self._said())

    def _said(self) -> str:
        return f"{self.loss}{self.accuracy}{self.pace}"

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """The bar stays on the screen; the cursor comes back, whatever ended the training."""
        self.bar.stop()
