"""docs/mixing.md holds every field of anomalymix, in the words of its docstring, and what each preset sets.

`python tests/pipelines/test_mixing_document.py` writes both tables anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipes.anomalymix import PRESETS, AnomalyMixConfig
from shards.config import option_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "mixing.md"


def value(found: Any) -> str:
    """As it is written behind --set; floats with few digits."""
    if isinstance(found, list | tuple):
        return f"[{','.join(map(value, found))}]"
    return f"{found:.4g}" if isinstance(found, float) else json.dumps(found)


def fields() -> str:
    rows = ["| field | default | meaning |", "|---|---|---|"]
    defaults = AnomalyMixConfig().model_dump()
    for name, info in sorted(AnomalyMixConfig.model_fields.items()):
        option = option_of(info)
        said = " ".join((info.description or "").split()).replace("|", "\\|")
        rows.append(f"| `{name}`{f' (`{option}`)' if option else ''} | `{value(defaults[name])}` | {said} |")
    return "\n".join(rows)


def presets() -> str:
    names = list(dict.fromkeys(name for preset in PRESETS.values() for name in preset))
    rows = [f"| preset | {' | '.join(f'`{name}`' for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for preset, settings in PRESETS.items():
        cells = [f"`{value(settings[name])}`" if name in settings else "" for name in names]
        rows.append(f"| `{preset}` | {' | '.join(cells)} |")
    return "\n".join(rows)


TABLES = {"fields": fields, "presets": presets}


def replaced(text: str, mark: str, table: str) -> str:
    head, rest = text.split(f"<!-- {mark} -->\n")
    return f"{head}<!-- {mark} -->\n{table}\n<!-- /{mark} -->{rest.split(f'<!-- /{mark} -->')[1]}"


@pytest.mark.parametrize("mark", TABLES)
def test_the_tables_are_the_code(mark: str) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == replaced(text, mark, TABLES[mark]()), f"run python {Path(__file__).name} to write it anew"


def test_every_field_is_explained() -> None:
    assert all(re.search(r"\w+ \w+", info.description or "") for info in AnomalyMixConfig.model_fields.values())


if __name__ == "__main__":
    written = DOCUMENT.read_text(encoding="utf-8")
    for mark, table in TABLES.items():
        written = replaced(written, mark, table())
    DOCUMENT.write_text(written, encoding="utf-8")
