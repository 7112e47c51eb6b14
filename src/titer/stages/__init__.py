"""What goes where: the router and its ledger."""

from titer.stages.route import Destination, Place, route

__all__ = ["Destination", "Place", "route"]
