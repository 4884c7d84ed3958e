"""`anomsynth materialize`."""

from __future__ import annotations

from typing import Annotated

import typer

from anomsynth.commands import build
from anomsynth.commands.options import Repair


def materialize(
    delta: Annotated[str, typer.Argument(metavar="DELTA", help="A delta set: `anomsynth build ... --layout delta`.")],
    folder: build.Cityscapes,
    out: build.Out,
    workers: build.Workers = None,
    engine: build.Engine = "local",
    shards: build.Shards = None,
    repair: Repair = False,
    strict: build.Strict = False,
    dry_run: build.DryRun = False,
) -> None:
    """Lay the objects of a delta set over the frames: gives, byte for byte, what a direct build gives.

    Example: `anomsynth materialize DELTA --cityscapes CITYSCAPES --out mix`
    """
    from anomsynth.commands.summary import print_summary
    from pipelines.materialize import materialize as lay
    from shards.manifest import read_manifest
    from shards.places import located

    target = build.destination(out)
    source = located(delta)
    summary = lay(
        source,
        located(folder),
        target,
        workers=workers,
        engine=engine,
        shards=build.parse_shards(shards),
        repair=repair,
        strict=strict,
        dry_run=dry_run,
    )
    print_summary(summary)
    made_with, here = read_manifest(source).tool, summary.plan["tool"]
    others = [f"{name} {here.get(name)} (then {then})" for name, then in made_with.items() if here.get(name) != then]
    if others:
        print(f"Other versions than those of the delta set may give other bytes: {', '.join(others)}.")
