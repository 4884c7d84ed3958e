"""What the outline says of words that it does not understand, where typer's own sentence leaves one helpless."""

from __future__ import annotations

import difflib
import re
from typing import Any

from typer.core import TyperGroup
from typer.exceptions import TyperException


class Outline(TyperGroup):
    """The commands. Choices that are none get a guess; a field that is written as an option, the way to set it."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed; what its words have wrong is raised in better words."""
        try:
            return super().invoke(ctx)
        except TyperException as error:
            error.message = _choice(error.message)
            way = _field(str(getattr(error, "option_name", "")), getattr(error, "ctx", None))
            if way:
                error.message += way
                vars(error)["possibilities"] = None  # options whose names look alike
            raise


def _choice(message: str) -> str:
    """`Value error, 'rey' is not one of 'local', 'ray'.`, without its beginning and with a guess at the end."""
    message = message.removeprefix("Value error, ")
    found = re.fullmatch(r"'(.*)' is not one of ('.*')\.", message)
    near = found and difflib.get_close_matches(found[1], re.findall("'(.*?)'", found[2]), n=1)
    return f"{message} Did you mean '{near[0]}'?" if near else message


def _field(option: str, ctx: Any) -> str:
    """How to set the field of a recipe that was written as an option of its command; empty where it is none."""
    from pipelines.recipes import RECIPES

    recipe = RECIPES.get(str(getattr(ctx, "info_name", "")))
    name = option.lstrip("-").replace("-", "_")
    if recipe is None or name not in recipe.config.model_fields:
        return ""
    return f". {name} is a field: write --set {name}=VALUE."
