"""Frozen, strict configurations, and how `--config FILE` and `--set key=value` fill them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from shards.coded import MAX_PIXELS
from shards.errors import UserError


class Config(BaseModel):
    """Base of every recipe's and method's configuration: immutable, unknown keys, NaN and infinities are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


_MAX_SIDE: Final = 16384
"""Longer sides are slips of the finger."""


def parse_size(value: Any) -> tuple[int, int]:
    """(width, height) in pixels of a word such as ``512x256``, or of a pair of whole numbers.

    Raises:
        ValueError: it is neither, or a side is out of range.
    """
    pair: Any = value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,5})\s*[xX]\s*([0-9]{1,5})\s*", value)
        pair = tuple(map(int, match.groups())) if match else ()
    if (
        not isinstance(pair, tuple | list)
        or len(pair) != 2
        or not all(type(side) is int and 1 <= side <= _MAX_SIDE for side in pair)
    ):
        raise ValueError(f"a size is written WIDTHxHEIGHT, such as 1024x512, with sides of 1 to {_MAX_SIDE} pixels")
    if pair[0] * pair[1] > MAX_PIXELS:
        raise ValueError(f"pictures of more than {MAX_PIXELS:,} pixels cannot be read")
    return pair[0], pair[1]


Size = Annotated[tuple[int, int], BeforeValidator(parse_size)]
"""Field type of a width and height in pixels."""


ConfigT = TypeVar("ConfigT", bound=Config)


def resolve(
    kind: type[ConfigT],
    *,
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    options: Mapping[str, Any] | None = None,
    overrides: Iterable[str] = (),
) -> ConfigT:
    """Build a configuration; later sources win: preset, file, the command's own options, `key=value` words.

    Args:
        kind: the configuration class.
        preset: fields of a published variant.
        file: JSON object with fields (`--config`).
        options: fields that have an option of their own; None values are "not given".
        overrides: words of the form `key=value` (`--set`); values are JSON, or plain strings.

    Raises:
        UserError: unreadable file, word without `=`, unknown field or value out of range.
    """
    values: dict[str, Any] = dict(preset or {})
    if file is not None:
        values.update(_read(file))
    values.update({key: value for key, value in (options or {}).items() if value is not None})
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UserError(f"--set expects key=value, got {word!r}.")
        values[key.strip()] = _parse(text.strip())
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(kind, error)) from error


def option_of(info: FieldInfo) -> str | None:
    """The option of the command line that sets a field, such as ``--license-filter``; None: only --set does."""
    extra = info.json_schema_extra
    return str(extra["option"]) if isinstance(extra, dict) and "option" in extra else None


_BRANCH: Final = re.compile(r"(literal|tuple|list|constrained|function|none|str|int|float|bool)\b")
"""How pydantic names the alternatives of a field, which nobody typed."""
_NOT_A_LIST: Final = ("tuple_type", "missing", "too_long", "too_short")


def _sentence(kind: type[Config], error: ValidationError) -> str:
    """What is wrong, of the first field that is: its alternatives all complain, the one that fits best says most."""
    errors = error.errors()
    about = [one for one in errors if one["loc"][:1] == errors[0]["loc"][:1]]
    worst = max(about, key=lambda one: (len(one["loc"]), one["type"] != "literal_error"))
    said, got = worst["msg"].removeprefix("Value error, "), worst["input"]
    if not worst["loc"]:  # of several fields together: the sentence names them, the input would be all that was given
        return f"The configuration does not fit together: {said}."
    name, *inner = worst["loc"]
    info = kind.model_fields.get(str(name))
    if info is None:
        return f"There is no field {name!r}. {_meant(str(name), kind.model_fields)}"
    absent = worst["type"] == "missing" and not inner  # the field, not a value of it
    if worst["type"] in _NOT_A_LIST and not absent and (form := _form(info)):
        said, inner = form, []
        got = got if worst["type"] != "missing" else list(got)
    elif worst["type"] == "dict_type":
        said = 'write names with their values, such as {"dog": 2}'
    parts = [f"value {part + 1}" if isinstance(part, int) else f"{part!r}" for part in inner if not _is_branch(part)]
    option = option_of(info)
    where = ", ".join([f"{name!r}{f' ({option})' if option else ''}", *parts])
    return f"Field {where}: {said} (got {got!r})."


def _is_branch(part: int | str) -> bool:
    return isinstance(part, str) and _BRANCH.match(part) is not None


def _form(info: FieldInfo) -> str:
    """How a field of several values is written, by its default; empty where it is none."""
    forms = [form for form in (info.annotation, *get_args(info.annotation)) if get_origin(form) is tuple]
    if not forms:
        return ""
    values = get_args(forms[0])
    fixed = Ellipsis not in values
    what = "two numbers" if fixed and len(values) == 2 else f"{len(values)} values" if fixed else "a list"
    default = info.default if isinstance(info.default, tuple) and info.default else ()
    such = f", such as {json.dumps(default[:4], separators=(',', ':'))}" if default else " in square brackets"
    return f"write {what}{such}"


def _meant(name: str, fields: Iterable[str]) -> str:
    """What to type instead of a field that does not exist."""
    close = difflib.get_close_matches(name, fields, n=1)
    question = f"Did you mean {close[0]!r}? " if close else ""
    return f"{question}The fields are: {', '.join(fields)}."


def _read(file: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read the config file {file}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"The config file {file} is not JSON: {error}.") from error
    if not isinstance(loaded, dict):
        raise UserError(f"The config file {file} must hold one JSON object, got {type(loaded).__name__}.")
    return loaded


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
