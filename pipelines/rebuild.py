"""Making single samples of a finished shard set again, to compare them with what the set holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from pipelines.coding import Packing, coder_of
from pipelines.recipe import Sources
from pipelines.recipes import find_recipe
from shards.codec import encode_json
from shards.errors import UserError
from shards.manifest import Manifest


def rebuilder(manifest: Manifest, cityscapes: Path, coco: Path | None) -> Callable[[int], dict[str, bytes]]:
    """Open the recipe of a shard set over the sources that it was made of.

    Args:
        manifest: of the set.
        cityscapes: the folder that it was made of, or a copy.
        coco: likewise; only sets with objects of COCO need it.

    Returns:
        A function from a sample's index to its members by suffix; it raises BadInput.

    Raises:
        UserError: an unknown recipe, a configuration that this version cannot read, or sources that are not those of
            the set.
    """
    if "shards" in manifest.sources:
        raise UserError(
            "This set was enriched from another one, so frames alone do not make its samples again: verify this one "
            "without sources, and the other with them."
        )
    entry = find_recipe(manifest.recipe)
    if "coco" in manifest.sources and coco is None:
        raise UserError("Objects of this set come from COCO: give its folder with --coco DIR.")
    try:
        config = entry.config.model_validate(manifest.config)
        packing = Packing.model_validate(manifest.packing)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"This version cannot build the set again: its configuration does not fit at {where!r}: {first['msg']}."
        ) from error
    splits = {name: str(source.get("split", "")) for name, source in manifest.sources.items()}
    sources = Sources(cityscapes, splits.get("cityscapes", "train"), coco, splits.get("coco", "train2017"))
    recipe = entry.open(config, sources)
    found = json.loads(encode_json(recipe.sources()))
    for name, source in manifest.sources.items():
        if found.get(name) != source:
            fields = [field for field in source if found.get(name, {}).get(field) != source[field]]
            raise UserError(
                f"The {name} folder is not the one that the set was made of: it differs in {', '.join(fields)}."
            )
    coder = coder_of(recipe, manifest.seed, packing)
    return lambda index: dict(coder.members(index)[0])
