"""A training run as data: read from YAML, checked, saved, compared and run again."""

from lorarack.adapters.recipe.recipe import (
    MAX_EPOCHS,
    MAX_STEPS,
    DataPlan,
    Recipe,
    load_recipe,
    make_recipe,
    parse_recipe,
)

__all__ = ["MAX_EPOCHS", "MAX_STEPS", "DataPlan", "Recipe", "load_recipe", "make_recipe", "parse_recipe"]
