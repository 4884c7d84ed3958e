"""The table of protocols, and what label values mean."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from eval import protocols
from eval.benchmarks import FINDERS
from eval.metrics import Sizes
from eval.metrics.conventions import REACHES
from eval.protocols import ENCODINGS, PROTOCOLS, encoding_named, protocol_named
from shards.errors import UserError


def test_names_are_unique_and_found() -> None:
    assert all(protocol_named(name).name == name for name in PROTOCOLS)
    assert set(PROTOCOLS) >= {"smiyc-anomaly", "smiyc-obstacle", "fishyscapes", "roadanomaly", "caos"}
    with pytest.raises(UserError, match=r"no protocol 'smiyc'\. The protocols are: smiyc-anomaly, smiyc-obstacle"):
        protocol_named("smiyc")
    with pytest.raises(UserError, match=r"no label encoding 'x'\. The encodings are: 0-1-255"):
        encoding_named("x")


def test_the_table_is_made_of_known_words() -> None:
    for protocol in PROTOCOLS.values():
        assert protocol.encoding in ENCODINGS
        assert protocol.reach in REACHES
        assert protocol.pooling in ("pooled", "per-image")
        assert protocol.benchmark is None or protocol.benchmark in FINDERS
        assert protocol.summary


def test_every_protocol_is_explained_with_its_source() -> None:
    explained = protocols.__doc__ or ""
    assert all(name in explained for name in PROTOCOLS)


@pytest.mark.parametrize(
    ("name", "pooling", "reach"),
    [
        ("smiyc-anomaly", "pooled", "first"),
        ("fishyscapes", "pooled", "first"),
        ("caos", "per-image", "nearest"),
        ("pebal", "pooled", "nearest"),
        ("rpl", "pooled", "nearest"),
        ("densehybrid", "pooled", "beyond"),
        ("rba", "pooled", "beyond"),
        ("uno", "pooled", "first"),
    ],
)
def test_conventions_as_published(name: str, pooling: str, reach: str) -> None:
    assert (PROTOCOLS[name].pooling, PROTOCOLS[name].reach) == (pooling, reach)


def test_components_as_published() -> None:
    assert PROTOCOLS["smiyc-anomaly"].components == Sizes(predicted=500, labelled=100)
    assert PROTOCOLS["smiyc-obstacle"].components == Sizes(predicted=50, labelled=10)
    assert PROTOCOLS["fishyscapes"].components is None
    assert [name for name, protocol in PROTOCOLS.items() if protocol.binned] == [
        name for name, protocol in PROTOCOLS.items() if protocol.components
    ]


def test_protocols_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["caos"].reach = "first"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "meanings"),
    [
        ("0-1-255", {0: 0, 1: 1, 255: 255}),
        ("2-is-anomaly", {0: 0, 1: 0, 2: 1, 3: 1, 255: 255}),
        ("254-is-anomaly", {0: 0, 18: 0, 254: 1, 255: 255}),
        ("255-is-anomaly", {0: 0, 255: 1}),
        ("streethazards", {0: 255, 1: 0, 13: 0, 14: 1, 255: 255}),
        ("lostandfound", {0: 255, 1: 0, 2: 1, 43: 1, 255: 255}),
        ("acdc-poc", {0: 255, 1: 0, 33: 0, 34: 1, 100: 1}),
        ("muad", {0: 0, 18: 0, 19: 1, 20: 1, 21: 255, 255: 255}),
    ],
)
def test_label_values(name: str, meanings: dict[int, int]) -> None:
    stored = np.array([list(meanings)], np.uint8)
    assert ENCODINGS[name].translate(stored).tolist() == [list(meanings.values())]


@pytest.mark.parametrize(
    ("name", "strangers"),
    [("0-1-255", [2, 254]), ("254-is-anomaly", [19, 253]), ("streethazards", [15, 254]), ("muad", [22])],
)
def test_values_without_a_meaning(name: str, strangers: list[int]) -> None:
    with pytest.raises(ValueError, match=str(strangers[0])):
        ENCODINGS[name].translate(np.array([strangers], np.uint8))
