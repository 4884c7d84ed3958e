"""Every score against a loop over pixels, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.nn import functional

from eval.score_cards import CARDS
from eval.scores import BAND, SCORES, score, score_maps, score_names
from shards.errors import UserError


def softmax(z: list[float]) -> list[float]:
    weights = [math.exp(v - max(z)) for v in z]
    return [w / sum(weights) for w in weights]


NAIVE: dict[str, Callable[[list[float]], float]] = {
    "msp": lambda z: 1 - max(softmax(z[:19])),
    "entropy": lambda z: -sum(p * math.log(p) for p in softmax(z[:19]) if p > 0) / math.log(19),
    "maxlogit": lambda z: -max(z[:19]),
    "energy": lambda z: -math.log(sum(math.exp(v) for v in z[:19])),
    "maxmin": lambda z: -(max(z[:19]) - min(z[:19])),
    "void": lambda z: softmax(z)[19],
}


@pytest.mark.parametrize("name", list(SCORES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_score_equals_a_naive_loop(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (torch.randn(2, 20, 3, 5) * 6).to(dtype)
    found = score(name, logits)
    assert found.shape == (2, 3, 5)
    assert found.dtype == torch.float32
    for n in range(2):
        for y in range(3):
            for x in range(5):
                expected = NAIVE[name](logits[n, :, y, x].tolist())
                assert found[n, y, x].item() == pytest.approx(expected, rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("name", list(SCORES))
def test_score_is_float32_under_autocast(name: str) -> None:
    logits = torch.randn(1, 20, 4, 4) * 5
    plain = score(name, logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(score(name, logits), plain)


@pytest.mark.parametrize("name", [name for name, entry in SCORES.items() if not entry.needs_void])
def test_void_output_is_left_out_of_the_others(name: str) -> None:
    logits = torch.randn(1, 20, 2, 2)
    loud = logits.clone()
    loud[:, 19] = 100
    assert torch.equal(score(name, logits), score(name, loud))
    assert torch.equal(score(name, logits), score(name, logits[:, :19]))


@pytest.mark.parametrize("name", list(SCORES))
def test_extreme_logits_stay_finite(name: str) -> None:
    logits = torch.zeros(1, 20, 1, 2)
    logits[:, 3, :, 0] = 3e4
    logits[:, 5, :, 1] = -3e4
    assert torch.isfinite(score(name, logits)).all()


def test_larger_is_more_anomalous() -> None:
    logits = torch.zeros(1, 20, 1, 2)
    logits[0, 4, 0, 0] = 9  # sure of a class at the left, of nothing at the right
    for name in SCORES:
        left, right = score(name, logits)[0, 0].tolist()
        assert right > left, name


@pytest.mark.parametrize("size", [(2 * BAND + 7, 50), (24, 40), (12, 20), (9, 61), (1, 1)])
def test_maps_equal_upsampling_everything_first(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    logits = torch.randn(20, 12, 20) * 5
    whole = functional.interpolate(logits[None], size, mode="bilinear", align_corners=False)
    maps = score_maps(tuple(SCORES), logits, size, semantic=True)
    for name in SCORES:
        torch.testing.assert_close(maps.scores[name], score(name, whole)[0], rtol=1e-4, atol=2e-5)
    assert maps.semantic is not None
    assert maps.semantic.dtype == torch.uint8
    assert (maps.semantic == whole[0, :19].argmax(0)).all()


def test_of_equal_classes_the_first_is_the_most_probable() -> None:
    logits = torch.zeros(20, 1, 2)
    logits[[4, 7], 0, 1] = 3
    logits[19] = 9
    maps = score_maps((), logits, (1, 2), semantic=True)
    assert maps.semantic is not None
    assert maps.semantic.tolist() == [[0, 4]]
    assert not maps.scores


def test_scores_have_their_cards() -> None:
    assert list(SCORES) == list(CARDS)
    assert all(entry.card is CARDS[name] and entry.card.kind == "score" for name, entry in SCORES.items())


def test_errors_say_what_is_possible() -> None:
    with pytest.raises(UserError, match=r"no score 'max'.*msp, entropy, maxlogit, energy, maxmin, void"):
        score("max", torch.zeros(1, 19, 1, 1))
    with pytest.raises(UserError, match="void output behind its 19 classes, got 19 outputs"):
        score("void", torch.zeros(1, 19, 1, 1))
    with pytest.raises(UserError, match=r"19 outputs, or one more .* got 7"):
        score("msp", torch.zeros(1, 7, 1, 1))
    assert score("void", torch.zeros(1, 4, 1, 1), num_classes=3).item() == pytest.approx(0.25)
    assert "void" not in score_names(19)
    assert score_names(20) == tuple(SCORES)
