"""What a model can already do: solve rates and difficulty bands, its prior, and the objective that suits it."""

from titer.measure.bands import BANDS, Band, SolveRate, band_of, band_shares, solve_rates
from titer.measure.chooser import Choice, after_trial, choose
from titer.measure.prior import Prior, TokenSums, prior, priors

__all__ = [
    "BANDS",
    "Band",
    "Choice",
    "Prior",
    "SolveRate",
    "TokenSums",
    "after_trial",
    "band_of",
    "band_shares",
    "choose",
    "prior",
    "priors",
    "solve_rates",
]
