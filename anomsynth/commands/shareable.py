"""What `anomsynth build --shareable` promises: nothing in the set that may not be passed on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shards.config import Config


def refuse_unshareable(config: Config, layout: str) -> None:
    """UserError where a set would hold what may not be passed on."""
    from shards.errors import UserError

    fields: dict[str, Any] = config.model_dump()
    if layout != "delta":
        raise UserError("--shareable needs --layout delta: frames of Cityscapes may not be passed on, nor mixes.")
    if fields.get("licences") not in ("derivatives-allowed", "commercial-allowed"):
        raise UserError(
            f"--shareable leaves out what forbids altered copies, and licences={fields.get('licences')} "
            "(--license-filter) does not: leave that away, or use commercial-allowed."
        )
    if fields.get("occlusion"):
        raise UserError(
            "--shareable and occlusion do not go together: masks would have outlines of Cityscapes' labels in them."
        )


def print_terms(out: Path, left_out: int, unit: str) -> None:
    """What whoever passes a shareable set on must keep to.

    Args:
        out: the finished set.
        left_out: objects (or pictures) that were left out for their licences.
        unit: what is cut out: object, or what is judged by the picture.
    """
    from shards.documents.card import LICENCES
    from shards.documents.licences import licence_table
    from shards.plural import plural
    from shards.rows import read_rows

    print(
        f"No pixel of Cityscapes is in {out}, and nothing whose licence forbids altered copies or is unknown "
        f"({plural(left_out, 'object' if unit == 'object' else 'picture')} left out)."
    )
    table = licence_table(read_rows(out))
    for licence, pictures, objects in table:
        terms = licence.terms
        duties = [
            *(["non-commercial"] if not terms.commercial else []),
            *(["to be shared under the same licence (ShareAlike)"] if terms.share_alike else []),
        ]
        if duties:
            made = f"{plural(objects, 'object')} of {plural(pictures, 'picture')}"
            print(f"  remains {', '.join(duties)}: {made} under {licence.name or licence.url}")
    if all(licence.terms.commercial for licence, _, _ in table):
        print("  nothing in it is non-commercial")
    print(f"Whoever passes it on credits the pictures' authors; {LICENCES} names every picture.")
