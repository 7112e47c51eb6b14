"""What a model can already do: solve rates and difficulty bands."""

from titer.measure.bands import BANDS, Band, SolveRate, band_of, band_shares, solve_rates

__all__ = ["BANDS", "Band", "SolveRate", "band_of", "band_shares", "solve_rates"]
