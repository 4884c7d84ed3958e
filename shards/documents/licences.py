"""Whose pictures are in a shard set, and under which licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from shards.layouts.licences import Licence
from shards.rows import Row, objects_of

CITYSCAPES_LICENCE: Final = "https://www.cityscapes-dataset.com/license/"

Picture = tuple[str, str, int]
"""(dataset, split, image id)."""


def picture_licences(rows: Sequence[Row]) -> dict[Picture, tuple[Licence, int]]:
    """Licence of every picture that objects were cut out of, and how many of them were; sorted by picture."""
    found: dict[Picture, tuple[Licence, int]] = {}
    for row in rows:
        for item in objects_of(row):
            if not isinstance(item.get("image_id"), int):
                continue  # not cut out of a picture
            picture = str(item.get("dataset", "")), str(item.get("split", "")), item["image_id"]
            licence = Licence(item.get("licence", ""), item.get("licence_url", ""))
            found[picture] = licence, found.get(picture, (licence, 0))[1] + 1
    return dict(sorted(found.items()))


def licence_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of licences.jsonl: one a picture, sorted."""
    return [
        {
            "dataset": dataset,
            "split": split,
            "image_id": image_id,
            "licence": licence.name,
            "licence_url": licence.url,
            "derivatives": licence.terms.derivatives,
            "commercial": licence.terms.commercial,
            "objects": objects,
        }
        for (dataset, split, image_id), (licence, objects) in picture_licences(rows).items()
    ]


def licence_table(rows: Sequence[Row]) -> list[tuple[Licence, int, int]]:
    """(licence, pictures, objects) of each licence, the most pictures first."""
    counts: dict[Licence, list[int]] = {}
    for licence, objects in picture_licences(rows).values():
        entry = counts.setdefault(licence, [0, 0])
        entry[0] += 1
        entry[1] += objects
    return sorted(
        ((licence, pictures, objects) for licence, (pictures, objects) in counts.items()),
        key=lambda entry: (-entry[1], entry[0].name, entry[0].url),
    )
