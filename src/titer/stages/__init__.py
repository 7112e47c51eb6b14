"""What goes where: the router and its ledger."""

from titer.stages.route import ALLOCATIONS, PLACES, Entry, Place, gaps, rehearsed, route, sent_to, shares

__all__ = ["ALLOCATIONS", "PLACES", "Entry", "Place", "gaps", "rehearsed", "route", "sent_to", "shares"]
