"""What a model can already do: solve rates and difficulty bands, its prior, and the objective that suits it."""

from titer.measure.bands import BANDS, Band, Count, Edges, SolveRate, band_shares, count_of, solve_rates
from titer.measure.chooser import Choice, after_trial, choose
from titer.measure.prior import Prior, TokenSums, prior, priors
from titer.measure.stopping import Rule, still_in_doubt

__all__ = [
    "BANDS",
    "Band",
    "Choice",
    "Count",
    "Edges",
    "Prior",
    "Rule",
    "SolveRate",
    "TokenSums",
    "after_trial",
    "band_shares",
    "choose",
    "count_of",
    "prior",
    "priors",
    "solve_rates",
    "still_in_doubt",
]
