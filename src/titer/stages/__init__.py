"""What goes where: the router here, and bridge, RL and critique in packages of their own."""

from titer.stages.route import ALLOCATIONS, PLACES, Destination, Entry, gaps, rehearsed, route, sent_to, shares

__all__ = ["ALLOCATIONS", "PLACES", "Destination", "Entry", "gaps", "rehearsed", "route", "sent_to", "shares"]
