"""The command line's outline. Nothing heavy is imported here: each command imports what it needs in its body."""

from __future__ import annotations

from typing import Annotated

import typer

from anomsynth import __version__
from anomsynth.commands import build, catalogue, delta, evaluate, look, reproduce, resynthesis, training, world
from anomsynth.usage import Outline

app = typer.Typer(
    cls=Outline,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(build.app, name="build")
app.command("materialize")(delta.materialize)
app.command("enrich")(resynthesis.enrich)
app.add_typer(training.app, name="train")
app.add_typer(evaluate.app, name="eval")
app.command("predict")(evaluate.predict)
app.command("report")(evaluate.report)
app.command("reproduce")(reproduce.reproduce)
app.command("inspect")(look.inspect)
app.command("verify")(look.verify)
app.add_typer(look.check_app, name="check")
app.command("list")(catalogue.list_cards)
app.command("toy")(world.toy)


def _print_version(wanted: bool) -> bool:
    if wanted:
        print(f"anomsynth {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def outline(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Teach a road-scene segmenter to say "none of the classes I know".

    The main job, from data sets that you have to numbers that you can report:

    * anomsynth build anomalymix --coco COCO --cityscapes CITYSCAPES --out mix

    * anomsynth train ovr --shards mix --segmenter erfnet --weights erfnet.pth --out run

    * anomsynth eval fishyscapes --data fishyscapes_static --checkpoint run --out report

    No data at hand? `anomsynth toy world` draws a small world in the same layouts.
    """
