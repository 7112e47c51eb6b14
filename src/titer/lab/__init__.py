"""What makes titer runnable with nothing but itself: a tiny model, tasks solved by construction, two teachers."""

from titer.lab.make import Made, MadeSuite, make, make_gym, make_lab

__all__ = ["Made", "MadeSuite", "make", "make_gym", "make_lab"]
