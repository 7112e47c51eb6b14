"""The run's configuration: schema, built-in recipes, loading and overriding."""

from titer.recipe.block import Axis, Block, Lora
from titer.recipe.data import Data, GymData, LabData, Suite
from titer.recipe.generate import Generate, Ray
from titer.recipe.load import builtin_names, dump_recipe, load_recipe, parse_block, parse_recipe, parse_sampled
from titer.recipe.schema import SAMPLED, Choose, Curate, Evaluate, Plan, Recipe, Train
from titer.recipe.stages import Bridge, Critique, Measure, Rl, Route, Stages

__all__ = [
    "SAMPLED",
    "Axis",
    "Block",
    "Bridge",
    "Choose",
    "Critique",
    "Curate",
    "Data",
    "Evaluate",
    "Generate",
    "GymData",
    "LabData",
    "Lora",
    "Measure",
    "Plan",
    "Ray",
    "Recipe",
    "Rl",
    "Route",
    "Stages",
    "Suite",
    "Train",
    "builtin_names",
    "dump_recipe",
    "load_recipe",
    "parse_block",
    "parse_recipe",
    "parse_sampled",
]
