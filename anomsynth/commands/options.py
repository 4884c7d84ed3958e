"""Options that several commands share, and the parsing of their words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shards.errors import UserError

OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write; made when missing.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="JSON file with fields of the configuration.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one field of the configuration; may be repeated."),
]

BenchmarkOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one option of the benchmark; may be repeated."),
]


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a word such as 512x256.

    Raises:
        UserError: the word has another form.
    """
    from shards.config import parse_size as parse

    try:
        return parse(text)
    except ValueError as error:
        raise UserError(f"Cannot read the size {text!r}: {error}.") from error


def split_words(words: list[str] | None) -> list[str]:
    """`--score msp --score energy` and `--score msp,energy` mean the same."""
    return [part for word in words or [] for part in word.split(",") if part]


def check_file(path: Path | None, option: str) -> None:
    """Say at once that a file is missing, not after the seconds that importing torch takes.

    Raises:
        UserError: a path is given and holds no file.
    """
    if path is not None and not path.is_file():
        raise UserError(f"{option} {path}: there is no such file.")
