"""docs/protocols.md holds the tables that eval/protocols.py says, and examples that the command line understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from anomsynth.cli import app
from eval.metrics.component import Sizes
from eval.protocols import ENCODINGS, PROTOCOLS, Protocol

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
WHERE = {"first": "TPR >= .95", "beyond": "TPR > .95", "nearest": "nearest to .95"}
FIGURES = {"pooled": "one pool", "per-image": "mean over frames"}


def between(mark: str) -> str:
    return TEXT.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0].strip()


def table(head: str, rows: list[str]) -> str:
    return "\n".join([head, re.sub(r"[^|]+", "---", head), *rows])


def row(protocol: Protocol) -> str:
    sizes = "-" if protocol.components is None else told(protocol.components)
    only = ", ".join(filter(None, (protocol.benchmark, protocol.part))) or "-"
    cells = (
        *(f"`{protocol.name}`", protocol.summary, FIGURES[protocol.pooling], WHERE[protocol.reach]),
        *(protocol.encoding, sizes, only, protocol.source or "-"),
    )
    return f"| {' | '.join(cells)} |"


def told(sizes: Sizes) -> str:
    return f"{sizes.predicted} / {sizes.labelled}"


def test_the_table_of_protocols() -> None:
    head = "| name | whose rules | figures of | FPR95 at | labels | components | only for | source |"
    assert between("protocols") == table(head, [row(protocol) for protocol in PROTOCOLS.values()])
    assert all(protocol.source for protocol in PROTOCOLS.values() if protocol.name != "pooled")
    # The document says of the column for components what is true of all with the binned curve.
    assert all(protocol.binned == (protocol.components is not None) for protocol in PROTOCOLS.values())


def test_the_table_of_encodings() -> None:
    rows = [f"| `{name}` | {found.name} |" for name, found in ENCODINGS.items()]
    assert between("encodings") == table("| name | stored values |", rows)


def test_protocols_that_are_said_to_be_alike_are() -> None:
    (names,) = re.findall(r"nothing else: ([\w, ]+?) give\s+one and the same", TEXT)
    alike = [PROTOCOLS[name] for name in re.split(r", | and ", names)]
    assert len({(found.pooling, found.reach, found.components, found.encoding) for found in alike}) == 1
    assert len(alike) == 4


@pytest.mark.parametrize("line", re.findall(r"\$ anomsynth ((?:.*\\\n)*.*)", TEXT))
def test_examples_are_understood(line: str) -> None:
    command = get_command(app)
    words = shlex.split(line.replace("\\\n", " "))
    context = command.make_context("anomsynth", list(words), resilient_parsing=True)
    while hasattr(command, "get_command"):
        command = command.get_command(context, words.pop(0))
    # Reads every option; one that the command does not have is an error.
    assert command.make_context(command.name, words).params


def test_the_document_is_linked() -> None:
    assert "docs/protocols.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(protocols.md)" in (ROOT / "docs" / "results-schema.md").read_text(encoding="utf-8")
