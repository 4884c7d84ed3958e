from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from shards.config import Config, Size, resolve
from shards.errors import UserError
from shards.rng import generator


def test_generator_depends_on_every_word() -> None:
    draws = {
        words: float(generator(*words).random())
        for words in [(0, "mix", 1), (0, "mix", 2), (1, "mix", 1), (0, "void", 1), (0, "mix", 1, 0), (0, "mix1")]
    }
    assert len(set(draws.values())) == len(draws)


def test_generator_is_equal_in_another_process() -> None:
    code = "from shards.rng import generator; print(generator(3, 'mix', 7).integers(2**60))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == generator(3, "mix", 7).integers(2**60)


class Recipe(Config):
    """An example."""

    flip: float = Field(default=0.5, ge=0, le=1)
    ids: tuple[int, ...] = (4, 5)
    name: str = "x"
    size: Size | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.name == "still" and self.flip:
            raise ValueError("still and flip exclude each other")
        return self


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"flip": 0.2, "name": "file"}))
    config = resolve(
        Recipe,
        preset={"flip": 0.1, "name": "preset", "ids": [1]},
        file=file,
        options={"name": "option", "flip": None},
        overrides=["ids=[7,8]"],
    )
    assert config == Recipe(flip=0.2, ids=(7, 8), name="option")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["flip"], "--set expects key=value, got 'flip'"),
        (["=3"], "--set expects key=value"),
        (["flip=2"], "Field 'flip': Input should be less than or equal to 1 (got 2)"),
        (["flop=1"], "There is no field 'flop'. Did you mean 'flip'? The fields are: flip, ids, name, size."),
        (["colour=1"], "There is no field 'colour'. The fields are: flip, ids, name, size."),
        (["ids=road"], "Field 'ids'"),
        (["flip=Infinity"], "Field 'flip'"),
        (["flip=NaN"], "Field 'flip': Input should be a finite number"),
        (["name=still"], "The configuration does not fit together: still and flip exclude each other."),
    ],
)
def test_wrong_overrides_get_a_sentence(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(Recipe, overrides=overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2]", "{", ""])
def test_wrong_config_file_gets_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        resolve(Recipe, file=file)


def test_missing_config_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot read the config file"):
        resolve(Recipe, file=tmp_path / "none.json")


@pytest.mark.parametrize("value", ["512x256", "512X256", " 512 x 256 ", [512, 256], (512, 256)])
def test_sizes_are_words_or_pairs(value: object) -> None:
    config = resolve(Recipe, options={"size": value})
    assert config.size == (512, 256)
    assert Recipe.model_validate_json(config.model_dump_json()) == config


class Ranges(Config):
    """Fields of several values."""

    pair: tuple[Annotated[int, Field(ge=1)], int] = (1, 3)
    factors: Literal["native"] | tuple[float, ...] | None = None
    names: tuple[str, ...] = Field(default=("a",), json_schema_extra={"option": "--name"})
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("pair=5", "'pair': write two numbers, such as [1,3] (got 5)."),
        ("pair=[5]", "'pair': write two numbers, such as [1,3] (got [5])."),
        ("pair=[1,2,3]", "'pair': write two numbers, such as [1,3] (got [1, 2, 3])."),
        ("pair=[0,2]", "'pair', value 1: Input should be greater than or equal to 1 (got 0)."),
        ("factors=0.5", "'factors': write a list in square brackets (got 0.5)."),
        ('factors=[1,"x"]', "'factors', value 2: Input should be a valid number, unable to parse string as a number"),
        ("names=a", "'names' (--name): write a list, such as [\"a\"] (got 'a')."),
        ("weights=3", "'weights': write names with their values, such as {\"dog\": 2} (got 3)."),
        ('weights={"dog":-1}', "'weights', 'dog': Input should be greater than or equal to 0 (got -1)."),
    ],
)
def test_fields_of_several_values_have_sentences(word: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(Ranges, overrides=[word])
    assert str(caught.value).startswith(f"Field {said}")


@pytest.mark.parametrize(
    "value",
    ["1024", "1024x", "axb", "1x2x3", "0x5", "99999x5", "\u0665x5", [5], [5, 0], [5.0, 5], [True, 5], ["5", 5], 5],
)
def test_sizes_have_one_sentence(value: object) -> None:
    with pytest.raises(UserError) as caught:
        resolve(Recipe, options={"size": value})
    assert str(caught.value) == (
        "Field 'size': a size is written WIDTHxHEIGHT, such as 1024x512, with sides of 1 to 16384 pixels "
        f"(got {value!r})."
    )


def test_sizes_are_those_of_pictures_that_can_be_read() -> None:
    with pytest.raises(UserError, match="pictures of more than 150,000,000 pixels cannot be read"):
        resolve(Recipe, options={"size": "16384x16384"})


def test_lists_within_lists(tmp_path: Path) -> None:
    deep = "[" * 100_000
    file = tmp_path / "config.json"
    file.write_text(deep)
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        resolve(Recipe, file=file)
    with pytest.raises(UserError, match="Field 'size'"):
        resolve(Recipe, overrides=[f"size={deep}"])
