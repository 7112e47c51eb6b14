"""The run's configuration: schema, built-in recipes, loading and overriding."""

from titer.recipe.load import builtin_names, dump_recipe, load_recipe, parse_block, parse_recipe
from titer.recipe.schema import (
    Axis,
    Choose,
    Curate,
    Data,
    Evaluate,
    Generate,
    GymData,
    LabData,
    Lora,
    Measure,
    Plan,
    Recipe,
    Route,
    Suite,
    Train,
)

__all__ = [
    "Axis",
    "Choose",
    "Curate",
    "Data",
    "Evaluate",
    "Generate",
    "GymData",
    "LabData",
    "Lora",
    "Measure",
    "Plan",
    "Recipe",
    "Route",
    "Suite",
    "Train",
    "builtin_names",
    "dump_recipe",
    "load_recipe",
    "parse_block",
    "parse_recipe",
]
