"""The catalogue of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipelines.recipe import RecipeEntry
from pipelines.recipes import anomalymix, cityscapes, voidclass
from shards.errors import UserError

RECIPES: Final[Mapping[str, RecipeEntry]] = {
    "cityscapes": RecipeEntry(cityscapes.CARD, cityscapes.CityscapesConfig, {}, cityscapes.CityscapesRecipe.open),
    "voidclass": RecipeEntry(voidclass.CARD, voidclass.VoidClassConfig, voidclass.PRESETS, voidclass.VoidClass.open),
    "anomalymix": RecipeEntry(
        anomalymix.CARD, anomalymix.AnomalyMixConfig, anomalymix.PRESETS, anomalymix.AnomalyMix.open
    ),
}


def find_recipe(name: str) -> RecipeEntry:
    """The recipe of that name; UserError with the known names where there is none."""
    if name not in RECIPES:
        raise UserError(f"There is no recipe {name!r}; the recipes are: {', '.join(RECIPES)}.")
    return RECIPES[name]


def find_preset(name: str, preset: str | None) -> Mapping[str, object]:
    """The fields of a recipe's preset, none for None; UserError with the known ones where there is none."""
    presets = find_recipe(name).presets
    if preset is None:
        return {}
    if preset not in presets:
        known = f"the presets are: {', '.join(presets)}" if presets else "it has none"
        raise UserError(f"The recipe {name!r} has no preset {preset!r}; {known}.")
    return presets[preset]
