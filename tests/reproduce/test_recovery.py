"""Finding B in the lab: what the arms train on, and what is read off their curves."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from titer.dynamics import AxisCurves, curve_of_rates
from titer.lab.tasks import items
from titer.lab.teachers import explain
from titer.reproduce.experiment import find
from titer.reproduce.findings.recovery.arm import (
    ARMS,
    WEAK,
    Settings,
    corrupt,
    earlier_checkpoint,
    lesson,
    measures_of,
    prepare_weak,
    run_arm,
)
from titer.verify import check

SMALL = Settings(problems=8, updates=12, batch_size=4, weak_updates=2, share=0.05, samples=1, max_tokens=32)


def test_the_experiment_has_all_arms_and_claims() -> None:
    experiment = find("recovery")
    assert experiment.arms == ARMS and experiment.shared == (WEAK,)
    with pytest.raises(AssertionError, match="have one name"):
        replace(experiment, shared=("weak",))
    assert {arm for claim in experiment.claims for arm in claim.contrast} == set(ARMS)
    assert len({claim.claim for claim in experiment.claims}) == len(experiment.claims)
    assert Settings(**experiment.settings) == Settings()


def test_an_arm_follows_four_axes_over_the_grid(tmp_path: Path) -> None:
    found = run_arm("verified", 0, SMALL, tmp_path / "arm")
    assert {"in_domain_at_10", "out_of_domain_at_12", "general_early", "safety_last", "paid"} <= set(found)
    assert {claim.measure for claim in find("recovery").claims} <= set(found)
    assert found["in_domain_last"] == found["in_domain_at_12"]
    assert found["general_rise"] == pytest.approx(found["general_last"] - found["general_at_10"])


def test_the_weak_base_is_a_model(tmp_path: Path) -> None:
    assert prepare_weak(SMALL, tmp_path / WEAK) == {"updates": 2}
    assert (tmp_path / WEAK / "model" / "model.safetensors").exists()


def test_arms_differ_in_one_thing() -> None:
    verified = lesson("verified", 0, SMALL)
    assert len(verified) == 16 and all(trace.reasoning for trace in verified)
    without = lesson("without-thinking", 0, SMALL)
    assert [t.response for t in without] == [t.response for t in verified] and not any(t.reasoning for t in without)
    rehearsing = lesson("rehearsal", 0, SMALL)
    assert rehearsing[:16] == verified and {t.domain for t in rehearsing[16:]} == {"guarded"} and len(rehearsing) == 18
    assert lesson("verified", 1, SMALL) != verified == lesson("weak", 0, SMALL)


def test_corruption_keeps_the_form_and_spoils_results_and_answer() -> None:
    made = items("countdown3", 60, seed=0, held=False)
    right = [explain(item, teacher="divergent", seed=0) for item in made]
    spoiled = [corrupt(item, trace, 0) for item, trace in zip(made, right, strict=True)]
    form = re.compile(r"\d+")
    pairs = list(zip(right, spoiled, strict=True))
    assert all(form.sub("N", one.reasoning) == form.sub("N", other.reasoning) for one, other in pairs)
    assert sum(one.reasoning != other.reasoning for one, other in pairs) > 50
    scores = [check(item.problem, trace.response).score for item, trace in zip(made, spoiled, strict=True)]
    assert sum(score == 1.0 for score in scores) < 20
    assert all(check(item.problem, trace.response).score == 1.0 for item, trace in zip(made, right, strict=True))


@pytest.mark.parametrize(
    ("means", "place"), [([0.2, 0.3, 0.5, 0.5], 2), ([0.2, 0.25, 0.3, 0.5], 3), ([0.5, 0.6, 0.4], 2)]
)
def test_the_earlier_checkpoint(means: list[float], place: int) -> None:
    assert earlier_checkpoint(np.array(means)) == place


def test_measures_of_a_known_curve() -> None:
    steps = (0, 10, 20, 40, 320)

    def level(*means: float) -> AxisCurves:
        noise = np.random.default_rng(0).normal(0, 0.05, size=(100, len(steps)))
        return AxisCurves(curve_of_rates(steps, np.array(means) + noise - noise.mean(axis=0)))

    found = measures_of({"in_domain": level(0.2, 0.2, 0.3, 0.5, 0.5), "safety": level(0.9, 0.8, 0.7, 0.6, 0.4)})
    assert found["safety_early"] == pytest.approx(-0.2) and found["safety_rise"] == pytest.approx(-0.3)
    assert found["safety_earlier"] == pytest.approx(0.2) and found["earlier_update"] == 40
    assert found["safety_degraded"] == 1 and found["paid"] == 1
