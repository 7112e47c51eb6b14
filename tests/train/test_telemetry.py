"""Where the gradient goes: counted by probability and by kind of step."""

from __future__ import annotations

from typing import Any

import torch

from titer.objectives import Scores
from titer.train.watch.telemetry import BINS, Telemetry


class Alone:
    """One process."""

    def reduce(self, sums: torch.Tensor, _: str) -> torch.Tensor:
        return sums


def scores(p: list[float], w: list[float]) -> Scores:
    p_N, w_N = torch.tensor(p), torch.tensor(w)
    return Scores(torch.zeros(()), w_N * 2, p_N.log(), torch.ones_like(p_N), p_N > 0.5, w_N)


def reduced(kinds: int, *batches: tuple[list[float], list[float], list[int]]) -> dict[str, Any]:
    telemetry = Telemetry(kinds, torch.device("cpu"))
    for p, w, kind in batches:
        telemetry.add(scores(p, w), torch.tensor(kind))
    return telemetry.reduced(Alone(), sum(len(p) for p, _, _ in batches))


def test_tokens_are_counted_by_kind_and_by_p() -> None:
    found = reduced(2, ([0.01, 0.52, 1.0], [1.0, 0.5, 1.0], [0, 1, -1]), ([0.52], [2.0], [1]))
    counts = torch.tensor(found["p_histogram"]).view(3, BINS)
    pulls = torch.tensor(found["pull_histogram"]).view(3, BINS)
    assert counts[0].tolist() == [1, *[0] * 19] and counts[2].tolist() == [*[0] * 19, 1]
    assert counts[1, 10] == 2 and counts.sum() == 4
    torch.testing.assert_close(pulls[1, 10], torch.tensor(2.5 * 0.48))
    assert pulls[0, 0] == 0.99 and pulls[2].sum() == 0  # what is certain pulls no more
    assert found["effective_tokens"] == 4.5 and found["loss"] == 2.25
    assert found["token_accuracy"] == 0.75 and found["entropy"] == 1.0


def test_kinds_without_a_name_count_as_unlabelled() -> None:
    found = reduced(0, ([0.3, 0.3], [1.0, 1.0], [4, -1]))
    assert sum(found["p_histogram"]) == 2 and len(found["p_histogram"]) == BINS


def test_what_is_no_number_is_still_counted() -> None:
    found = reduced(1, ([float("nan")], [1.0], [0]))
    assert sum(found["p_histogram"]) == 1
