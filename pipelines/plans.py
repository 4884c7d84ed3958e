"""What is being built: the plan in OUT/.build, on which all calls that share a folder agree.

Equal plans give equal bytes (law 1), so they resume and help one another; another plan is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.tasks import WORK
from shards.errors import UserError
from shards.writer import write_atomically

_PLAN: Final = "plan.json"


def has_plan(out: Path) -> bool:
    """Whether a build has begun here and is not complete."""
    return (out / WORK / _PLAN).is_file()


def write_plan(out: Path, plan: Mapping[str, Any]) -> None:
    """Write the plan unless there is one."""
    if not has_plan(out):
        write_atomically(out / WORK / _PLAN, json.dumps(plan, indent=2).encode())


def refuse_other_plan(out: Path, plan: Mapping[str, Any]) -> None:
    """UserError if the build in this folder is another one; nothing where there is none."""
    try:
        begun = json.loads((out / WORK / _PLAN).read_bytes())
    except FileNotFoundError:
        return
    except (ValueError, RecursionError):
        begun = {}
    if isinstance(begun, dict) and (versions := _other_versions(plan, begun)):
        raise UserError(
            f"{out} holds an unfinished build by other versions, whose bytes may differ: {versions}. "
            "Install those versions to finish it, choose another --out, or delete that folder first."
        )
    found = differences(plan, begun)
    if found:
        raise UserError(
            f"{out} holds an unfinished build, which differs in {found}: "
            "repeat that command to finish it, choose another --out, or delete that folder first."
        )


def differences(wanted: Mapping[str, Any], found: Any) -> str:
    """The fields in which two plans differ, such as ``config.size, seed``; of other recipes, that alone."""
    if not isinstance(found, dict):
        found = {}
    if found and wanted["recipe"] != found.get("recipe"):
        return f"recipe ({found.get('recipe')})"
    names = []
    for key, value in wanted.items():
        other = found.get(key)
        if value == other:
            continue
        if key == "tool" and (versions := _other_versions(wanted, found)):
            names.append(f"the versions of {versions}")
        elif isinstance(value, dict) and isinstance(other, dict):
            names += [f"{key}.{name}" for name in sorted({*value, *other}) if value.get(name) != other.get(name)]
        else:
            names.append(key)
    return ", ".join(names)


def _other_versions(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """``numpy 2.1.0 there, 2.4.6 here``; empty where no version differs, or more than versions."""
    here, there = wanted["tool"], found.get("tool")
    if not isinstance(there, dict) or any(wanted[key] != found.get(key) for key in wanted if key != "tool"):
        return ""
    names = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    return "; ".join(f"{name} {there.get(name, 'none')} there, {here.get(name, 'none')} here" for name in names)
