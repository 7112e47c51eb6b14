"""The family: each weight is the derivative of its f, and each spec means what it says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from titer.errors import InputError
from titer.objectives import Objective, TokenStats, canonical, family, objective, of_function, quantiles

P = torch.cat([torch.linspace(0.001, 0.999, 400, dtype=torch.float64), torch.tensor([1e-6, 1e-3, 1 - 1e-6])])
CLOSED = ["nll", "p", "power:10", "power:0.5", "power:0.01", "focal:2", "focal:0.5", "focal:1", "log1mp"]
CUT = ["nll@p>=0.2", "p@p<=0.9", "power:10@p<=0.5", "focal:2@p>=0.1", "0.7*p+0.3*nll", "0.5*power:3@p>=0.2+2*focal:1"]


def stats(p_N: torch.Tensor, **fields: torch.Tensor) -> TokenStats:
    return TokenStats(p_N.log(), torch.zeros_like(p_N), **fields)


@pytest.mark.parametrize("spec", [*CLOSED, *CUT])
def test_the_weight_is_minus_the_slope_times_p(spec: str) -> None:
    p_N = P.clone().requires_grad_()
    found = objective(spec)
    (slope_N,) = torch.autograd.grad(found.value(stats(p_N)).sum(), p_N)
    torch.testing.assert_close(found.weight(stats(P)), -slope_N * P, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("spec", "p", "f", "w"),
    [
        ("nll", 0.25, math.log(4), 1.0),
        ("p", 0.25, -0.25, 0.25),
        ("power:2", 0.5, 0.375, 0.25),
        ("focal:2", 0.5, 0.25 * math.log(2), 0.25 + 0.5 * math.log(2)),
        ("log1mp", 0.5, math.log(0.5), 1.0),
        ("log1mp", 0.9999, None, 99.0),
        ("nll@p>=0.2", 0.1, 0.0, 0.0),
        ("nll@p>=0.2", 0.3, -math.log(0.3), 1.0),
        ("p@p<=0.9", 0.95, 0.0, 0.0),
        ("p@p<=0.9", 0.5, -0.5, 0.5),
        ("infosft", 0.5, 0.5 * math.log(2), 0.5),
        ("infosft", 0.93, None, 0.0),
        ("infosft", 0.07, None, 0.14),
        ("0.7*p+0.3*nll", 0.5, -0.35 + 0.3 * math.log(2), 0.65),
    ],
)
def test_by_hand(spec: str, p: float, f: float | None, w: float) -> None:
    found, at = objective(spec), stats(torch.tensor([p], dtype=torch.float64))
    assert found.weight(at).item() == pytest.approx(w, abs=1e-6)
    if f is not None:
        assert found.value(at).item() == pytest.approx(f, abs=1e-12)


@pytest.mark.parametrize(
    ("spec", "fields", "f", "w"),
    [
        ("eaft", {"top_entropy_N": torch.tensor([0.4])}, 0.4 * math.log(4), 0.4),
        ("deft", {"collision_N": torch.tensor([0.5])}, 1.0, 0.5),  # .25 ** .5
        ("iw", {"trace_N": torch.tensor([3.0])}, 3.0 * math.log(4), 3.0),
        ("asft:0.05", {}, -0.25, 0.25),
    ],
)
def test_what_needs_more_than_p(spec: str, fields: dict[str, torch.Tensor], f: float, w: float) -> None:
    found = objective(spec)
    assert found.needs == frozenset(fields)
    at = stats(torch.tensor([0.25]), **fields)
    assert found.weight(at).item() == pytest.approx(w)
    assert found.value(at).item() == pytest.approx(f)


def test_nothing_is_lost_at_the_ends() -> None:
    logp_N = torch.tensor([-200.0, -90.0, -1e-7, -1e-12, 0.0])
    for spec in [*CLOSED, *CUT, "infosft"]:
        found = objective(spec)
        at = TokenStats(logp_N, torch.zeros(5))
        assert found.value(at).isfinite().all() and found.weight(at).isfinite().all(), spec
    assert objective("focal:0.5").weight(TokenStats(torch.zeros(1), torch.zeros(1))).item() == 0


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        ("dft", "p"),
        ("power:1", "p"),
        ("focal:0", "nll"),
        ("profit:0.1", "nll@p>=0.1"),
        ("talr:2", "power:0.5"),
        ("talr:0.5", "power:2"),
        ("quantile:0.1", "nll@q>=0.1"),
        (" P ", "p"),
        ("nll@q>=0.1", "nll@p>=0.25"),
        ("1*p", "p"),
        ("0.3*nll + 0.7*dft", "0.3*nll+0.7*p"),
        ("0.7*p+0.3*nll", "0.3*nll+0.7*p"),
        ("p+DFT", "2*p"),
        ("1e+1*p+nll", "10*p+nll"),
        ("nll@p>=0", "nll"),
        ("p@p<=1", "p"),
        ("nll@p<=0.9@p>=0.2", "nll@p>=0.2@p<=0.9"),
        ("nll@q>=0.1@p<=0.9", "nll@p>=0.25@p<=0.9"),
    ],
)
def test_the_same_thing_has_one_name(spec: str, other: str) -> None:
    assert objective(spec, {0.1: 0.25}).name == objective(other, {0.1: 0.25}).name
    if "q" not in spec:
        assert canonical(spec) == canonical(other) == objective(spec).name


@pytest.mark.parametrize("spec", [*CLOSED, "infosft", "eaft", "deft", "iw", "asft:0.05", "nll@p>=0.2", "2*p"])
def test_what_has_one_name_keeps_it(spec: str) -> None:
    assert objective(spec).name == spec


def test_a_name_says_what_bounds_there_are() -> None:
    names = [objective(spec).name for spec in ("nll@p<=0.9@p>=0.2", "nll@p>=0.2", "p@p<=0.9", "p@p>=0@p<=1")]
    assert names == ["nll@p>=0.2@p<=0.9", "nll@p>=0.2", "p@p<=0.9", "p"]


def test_two_bounds_cut_on_both_sides() -> None:
    at = stats(torch.tensor([0.1, 0.2, 0.5, 0.9, 0.95]))
    assert objective("nll@p>=0.15@p<=0.92").weight(at).tolist() == [0, 1, 1, 1, 0]


def test_a_bound_counts_itself() -> None:
    at = stats(torch.tensor([0.25, 0.5], dtype=torch.float64))
    assert family.within(family.nll(), 0.25, 0.5).weight(at).tolist() == [1, 1]


def test_a_mixture_has_its_parts_divergence() -> None:
    assert objective("0.5*asft:0.1+2*nll+2*asft:0.2").divergence == pytest.approx(0.45)


def test_a_name_with_a_quantile_stays_until_it_is_cut() -> None:
    assert canonical("Quantile:0.1 + nll") == "quantile:0.1+nll" and canonical("auto") == "auto"


@pytest.mark.parametrize("f", [lambda p: -p.sqrt(), lambda p: -p.log(), lambda p: (1 - p) ** 2])
def test_ones_own_f_has_a_weight_at_every_p(f: Callable[[torch.Tensor], torch.Tensor]) -> None:
    logp_N = torch.tensor([-1000.0, -110.0, -60.0, -1.0, -1e-8, 0.0])
    weight = of_function("mine", f).weight(TokenStats(logp_N, torch.zeros(6)))
    assert weight.isfinite().all() and (weight >= 0).all()


@pytest.mark.parametrize("spec", [*CLOSED, *CUT, "eaft", "deft", "infosft", "iw", "asft:0.05"])
def test_a_name_is_a_spec(spec: str) -> None:
    assert objective(objective(spec).name).name == objective(spec).name


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nlll", "did you mean 'nll'"),
        ("powr:10", "did you mean 'power'"),
        ("zzz", "unknown objective 'zzz'"),
        ("power", "needs a number"),
        ("power:0", "its limit at 0 is nll"),
        ("power:-2", "not above 0"),
        ("focal:-1", "not above 0"),
        ("asft:0", "not above 0"),
        ("nll:3", "takes no number"),
        ("nll@p>=1.5", "not in [0, 1]"),
        ("p@p<=-0.1", "not in [0, 1]"),
        ("profit:7", "not in [0, 1]"),
        ("quantile", "needs a number"),
        ("quantile:0.3", "has no cut"),
        ("quantile:0.1@p>=0.2", "threshold already"),
        ("talr:0", "above 0"),
        ("0*p+nll", "not above 0"),
        ("p++nll", "cannot read ''"),
        ("p@r>=1", "cannot read"),
        ("", "cannot read"),
        ("nll@p>=1", "no token's p is within"),
        ("p@p<=0", "no token's p is within"),
        ("nll@p>=0.6@p<=0.4", "no token's p is within"),
        ("nll@p>=0.2@p>=0.4", "same side"),
        ("asft:0.05@p>=0.2", "has no threshold"),
        ("power:1e999", "too large or too small"),
        ("power:1e-50", "too large or too small"),
        ("1e999*p", "too large or too small"),
        ("focal:1e999", "too large or too small"),
    ],
)
def test_what_cannot_be_is_refused(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=r".*") as caught:
        objective(spec, {0.1: 0.2})
    assert said in str(caught.value)
    assert caught.value.field == "train.objective" and caught.value.remedy


def test_quantiles_are_named() -> None:
    assert quantiles("0.5*quantile:0.1+p@q<=0.9") == [0.1, 0.9]
    assert quantiles("nll@p>=0.2") == []


def test_anybodys_function_of_p() -> None:
    found = family.of_function("root", lambda p: -2 * p.sqrt())
    assert isinstance(found, Objective) and found.name == "root"
    torch.testing.assert_close(found.weight(stats(P)), P.sqrt())
    torch.testing.assert_close(found.value(stats(P)), -2 * P.sqrt())
