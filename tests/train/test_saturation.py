"""Epochs until token accuracy saturates: the line, its ends, its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from titer.train import Probe, epochs_to_saturation


def probe(updates: int, epochs: float, log_odds: float, traces: int = 100) -> Probe:
    """Of so many traces of 1000 tokens each, all with the same accuracy."""
    hits = 1000 / (1 + math.exp(-log_odds))
    return Probe(updates, epochs, np.tile([hits, 1000.0], (traces, 1)))


def line(a: float, b: float, c: float) -> list[Probe]:
    return [probe(n, e, a + b * e + c * math.log(n)) for n, e in ((20, 1.0), (20, 8.0), (10, 1.0))]


AIM = math.log(0.98 / 0.02)


def test_the_line_is_found() -> None:
    found, rise = epochs_to_saturation(line(0.5, 0.18, 0.1), updates=1000)
    assert rise.mid == pytest.approx(0.18, rel=0.01)
    assert found.mid == pytest.approx((AIM - 0.5 - 0.1 * math.log(1000)) / 0.18, rel=0.01)
    assert found.low == pytest.approx(found.mid, rel=0.01)  # all traces are alike


@pytest.mark.parametrize(
    ("a", "b", "c", "epochs"), [(3.0, 0.2, 0.5, 1.0), (0.0, -0.1, 0.0, 64.0), (0.0, 0.01, 0.0, 64.0)]
)
def test_its_ends(a: float, b: float, c: float, epochs: float) -> None:
    assert epochs_to_saturation(line(a, b, c), updates=1000).epochs.mid == epochs


def test_accuracy_that_falls_with_updates_is_not_carried_on() -> None:
    found, _ = epochs_to_saturation(line(1.0, 0.2, -0.3), updates=100_000)
    assert found.mid == pytest.approx((AIM - 1.0 + 0.3 * math.log(20)) / 0.2, rel=0.01)


def test_traces_that_differ_widen_the_interval() -> None:
    factors = np.random.default_rng(0).uniform(0.9, 1.0, (100, 1)) * [1.0, 0.0] + [0.0, 1.0]
    probes = [one._replace(hits_S2=one.hits_S2 * factors) for one in line(0.5, 0.18, 0.1)]
    found, _ = epochs_to_saturation(probes, updates=1000, seed=1)
    assert found.low + 0.1 < found.mid < found.high - 0.1
    assert found == epochs_to_saturation(probes, updates=1000, seed=1).epochs


def test_the_papers_figures_saturate_where_it_says() -> None:
    """Olmo3-7B after 1 and 8 epochs, arXiv 2602.11149: 98.0 % is then measured after 16."""
    first, eighth, sixteenth = (math.log(p / (1 - p)) for p in (0.757, 0.922, 0.980))
    probes = [probe(51_200, 1, first), probe(51_200, 8, eighth), probe(25_600, 1, first)]
    found, _ = epochs_to_saturation(probes, updates=51_200)
    assert found.mid == pytest.approx(16, abs=1) and sixteenth == pytest.approx(AIM)


@pytest.mark.parametrize("noise", [1e-16, -1e-16])
def test_what_rounding_leaves_is_no_rise(noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of equal accuracies, in every draw alike: it would be a sure one."""
    real = np.linalg.lstsq

    def rounded(*arguments: Any, **settings: Any) -> Any:
        (a, _, c), *rest = real(*arguments, **settings)
        return (np.array([a, noise, c]), *rest)

    monkeypatch.setattr("titer.train.length.saturation.np.linalg.lstsq", rounded)
    assert tuple(epochs_to_saturation(line(1.0, 0.0, 0.0), updates=20).rise) == (0.0, 0.0, 0.0)
