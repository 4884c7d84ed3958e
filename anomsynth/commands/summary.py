"""What a build says at its end: the plan of a dry run, or what was made, what was left out, and what that means."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.engine import BuildSummary


def print_summary(summary: BuildSummary, size: str = "") -> None:
    """The plan of a dry run, or what was made and what was left out.

    Args:
        summary: of the build.
        size: of the samples, such as 1024x512; empty: unknown.
    """
    import json

    from shards.plural import plural

    of_size = f" of {size}" if size else ""
    if summary.dry_run:
        print(json.dumps(summary.plan, indent=2))
        count, shards, estimate = (summary.plan[key] for key in ("count", "shards", "estimated_bytes"))
        made = f"{plural(count, 'sample')}{of_size} in {plural(shards, 'shard')}"
        sentence = f"This would make {made}, about {estimate / 1e6:.1f} MB; nothing was touched."
        print(sentence, file=sys.stderr)
        return
    made = f"{plural(summary.samples, 'sample')}{of_size} in {plural(summary.shards, 'shard')}"
    if summary.complete:
        print(f"{summary.out} is complete already: {made}.")
        return
    if summary.repaired is not None:
        names = ", ".join(summary.repaired)
        print(f"Made again: {names}." if names else f"Nothing to repair: {made}, all as their manifest says.")
        return
    rate = summary.made / max(summary.seconds, 1e-9)
    print(
        f"Made {made}, {summary.bytes / 1e6:.1f} MB, in {summary.seconds:.1f} s ({rate:.1f} samples/s): {summary.out}"
    )
    if summary.resumed:
        print(f"{summary.resumed} of the shards were finished by an earlier call.")
    if summary.missing:
        left = plural(summary.missing, "shard of the set is", "shards of the set are")
        print(f"{left} still to be made; then it is complete.")
    for reason, number in sorted(summary.skipped.items()):
        if reason == "not-placed":  # nothing is broken
            print(f"  {plural(number, 'object')} found no room: their samples go without")
        else:
            print(f"  left out, {reason}: {number}")
    if summary.whole:
        print(_plain(summary), end="")


def _plain(summary: BuildSummary) -> str:
    """A line about samples without an anomaly, and what to do where none has one; empty where all is well."""
    from shards.errors import BadInput, UserError
    from shards.manifest import read_manifest
    from shards.plural import plural
    from shards.rows import has_anomaly, read_rows

    try:
        recipe, rows = read_manifest(summary.out).recipe, read_rows(summary.out)
    except (UserError, BadInput):  # the last call of several has not ended yet
        return ""
    plain = sum(not has_anomaly(row) for row in rows)
    if recipe == "cityscapes" or not plain:
        return ""
    if plain < len(rows):
        return f"{plain} of {plural(len(rows), 'sample')} {'has' if plain == 1 else 'have'} no anomaly.\n"
    return f"No sample has an anomaly, so the set teaches nothing about them: {_advice(recipe, summary)}.\n"


def _advice(recipe: str, summary: BuildSummary) -> str:
    """Which field to change."""
    config: dict[str, Any] = dict(summary.plan["config"])
    if recipe == "voidclass":
        return f"none of the labelIds {config.get('anomaly_ids')} is in the frames; set anomaly_ids to others"
    if config.get("probability") == 0:
        return "probability is 0; set a greater one"
    if summary.skipped.get("not-placed"):
        size = "scale" if config.get("long_side") is None else "long_side"
        return (
            f"no object found room; set min_visible (now {config.get('min_visible')}) to less, {size} to smaller or "
            "larger objects, or give a larger --size"
        )
    return f"with probability={config.get('probability')} none was drawn; set a greater one or make more samples"
