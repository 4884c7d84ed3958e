from __future__ import annotations

import pickle
from collections import Counter

import pytest

from pipelines.sources.balance import Balance, BalanceRules
from shards.errors import UserError
from shards.rng import generator

CATEGORIES = ["book"] * 90 + ["dog"] * 9 + ["toaster"]


def drawn(rules: BalanceRules, categories: list[str] = CATEGORIES, times: int = 6000) -> Counter[int]:
    balance = pickle.loads(pickle.dumps(Balance.of(categories, rules)))
    rng = generator(0, "test")
    return Counter(balance.draw(rng) for _ in range(times))


def shares(counts: Counter[int], categories: list[str] = CATEGORIES) -> dict[str, float]:
    total = counts.total()
    return {
        name: sum(n for i, n in counts.items() if categories[i] == name) / total for name in sorted(set(categories))
    }


def test_object_by_object_as_ever() -> None:
    counts = drawn(BalanceRules())
    assert shares(counts) == pytest.approx({"book": 0.9, "dog": 0.09, "toaster": 0.01}, abs=0.02)
    rng, plain = generator(0, "test"), generator(0, "test")
    balance = Balance.of(CATEGORIES, BalanceRules())
    assert [balance.draw(rng) for _ in range(50)] == [int(plain.integers(100)) for _ in range(50)]


def test_category_by_category() -> None:
    counts = drawn(BalanceRules(balance="categories"))
    assert shares(counts) == pytest.approx({"book": 1 / 3, "dog": 1 / 3, "toaster": 1 / 3}, abs=0.02)
    dogs = [counts[i] for i in range(90, 99)]
    assert max(dogs) < 1.4 * min(dogs)  # alike within a category


def test_weights() -> None:
    counts = drawn(BalanceRules(balance="categories", category_weights={"book": 0, "dog": 3}))
    assert shares(counts) == pytest.approx({"book": 0, "dog": 0.75, "toaster": 0.25}, abs=0.02)


def test_pictures_of_several_categories() -> None:
    joined = ["dog+frisbee", "dog", "frisbee"]
    counts = drawn(BalanceRules(balance="categories", category_weights={"dog": 0}), joined)
    assert counts[1] == 0
    assert counts[0] / counts.total() == pytest.approx(0.5, abs=0.03)


def test_impossible_weights() -> None:
    with pytest.raises(UserError, match="category_weights names 'cat', of which no object may be pasted"):
        Balance.of(CATEGORIES, BalanceRules(balance="categories", category_weights={"cat": 1}))
    zero = dict.fromkeys(("book", "dog", "toaster"), 0.0)
    with pytest.raises(UserError, match="every category the weight 0"):
        Balance.of(CATEGORIES, BalanceRules(balance="categories", category_weights=zero))
