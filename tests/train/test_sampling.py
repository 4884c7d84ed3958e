from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.losses.sampling import Counts, Draws, Places, draw_places, features_at

PAPER = Counts()
FEW = Counts(anchors=5, positives=7, hard_negatives=4, easy_negatives=6, hard_anchors=0.4)


def scene(seed: int, images: int, height: int, width: int, *, anomalies: float = 0.1, wrong: float = 0.2):  # type: ignore[no-untyped-def]
    rng = torch.Generator().manual_seed(seed)
    kind = torch.rand(images, height, width, generator=rng)
    anomaly = torch.where(kind < anomalies, 1, torch.where(kind > 0.9, 255, 0)).to(torch.uint8)
    predicted = (anomaly == 1) != (torch.rand(images, height, width, generator=rng) < wrong)
    return anomaly, predicted, torch.randint(0, 2**62, (images,), generator=rng)


def roles(draws: Draws) -> tuple[Places, Places, Places]:
    return draws.anchors, draws.positives, draws.negatives


def pixels(places: Places, image: int) -> list[int]:
    return places.index[image][places.chosen[image]].tolist()


def naive(keys: list[float], anomaly: list[int], predicted: list[bool], counts: Counts, *, aware: bool):  # type: ignore[no-untyped-def]
    """Pixel by pixel: sort each group by its random keys, take the quota, let the partner fill up."""
    groups: dict[tuple[int, bool], list[int]] = {(a, w): [] for a in (0, 1) for w in (False, True)}
    for pixel in sorted(range(len(keys)), key=lambda p: keys[p]):
        if anomaly[pixel] != 255:
            wrong = aware and predicted[pixel] != (anomaly[pixel] == 1)
            groups[anomaly[pixel], wrong].append(pixel)

    def both(label: int, hard: int, count: int) -> list[int]:
        hards, easies = groups[label, True], groups[label, False]
        taken_hard = hards[:hard]
        taken_easy = easies[: count - hard]
        while len(taken_hard) + len(taken_easy) < count and len(taken_hard) < len(hards):
            taken_hard.append(hards[len(taken_hard)])
        while len(taken_hard) + len(taken_easy) < count and len(taken_easy) < len(easies):
            taken_easy.append(easies[len(taken_easy)])
        return taken_hard + taken_easy

    positives = sorted(groups[1, True] + groups[1, False], key=lambda p: -keys[p])[: counts.positives]
    anchors = both(1, round(counts.hard_anchors * counts.anchors), counts.anchors)
    return anchors, positives, both(0, counts.hard_negatives, counts.hard_negatives + counts.easy_negatives)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    anomalies=st.sampled_from([0.0, 0.02, 0.2, 0.9]),
    wrong=st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    aware=st.booleans(),
)
def test_what_is_drawn_pixel_by_pixel(seed: int, anomalies: float, wrong: float, aware: bool) -> None:
    anomaly, predicted, seeds = scene(seed, 2, 6, 12, anomalies=anomalies, wrong=wrong)
    draws = draw_places(anomaly, predicted, seeds, FEW, aware=aware)
    for i in range(2):
        generator = torch.Generator().manual_seed(int(seeds[i]))
        keys = torch.rand(72, generator=generator, dtype=torch.float64).tolist()
        labels, seen = anomaly[i].flatten().tolist(), predicted[i].flatten().tolist()
        expected = naive(keys, labels, seen, FEW, aware=aware)
        assert tuple(pixels(places, i) for places in roles(draws)) == expected


def group_sizes(draws: Draws, anomaly: torch.Tensor, predicted: torch.Tensor) -> dict[str, list[int]]:
    """How many of each role are hard and easy in the first image."""
    labels, seen = anomaly[0].flatten(), predicted[0].flatten()
    result = {}
    for name in ("anchors", "positives", "negatives"):
        taken = pixels(getattr(draws, name), 0)
        assert len(set(taken)) == len(taken)
        assert all(int(labels[p]) == (name != "negatives") for p in taken)
        hard = sum(bool(seen[p]) != bool(labels[p] == 1) for p in taken)
        result[name] = [hard, len(taken) - hard]
    return result


def test_the_published_counts() -> None:
    anomaly, predicted, seeds = scene(0, 1, 64, 128)
    draws = draw_places(anomaly, predicted, seeds, PAPER)
    sizes = group_sizes(draws, anomaly, predicted)
    assert sizes["anchors"] == [25, 25]
    assert sum(sizes["positives"]) == 100
    assert sizes["negatives"] == [100, 300]
    assert not set(pixels(draws.anchors, 0)) & set(pixels(draws.positives, 0))
    assert draws.index.shape == (1, 550)


@pytest.mark.parametrize(
    ("wrong_anomalies", "right_anomalies", "anchors"),
    [(1000, 1000, [25, 25]), (10, 1000, [10, 40]), (1000, 10, [40, 10]), (10, 12, [10, 12]), (0, 70, [0, 50])],
)
def test_one_group_fills_up_the_other(wrong_anomalies: int, right_anomalies: int, anchors: list[int]) -> None:
    anomaly = torch.zeros(1, 40, 100, dtype=torch.uint8)
    predicted = torch.zeros(1, 40, 100, dtype=torch.bool)
    anomaly.view(-1)[: wrong_anomalies + right_anomalies] = 1
    predicted.view(-1)[wrong_anomalies : wrong_anomalies + right_anomalies] = True
    draws = draw_places(anomaly, predicted, torch.tensor([3]), PAPER)
    sizes = group_sizes(draws, anomaly, predicted)
    assert sizes["anchors"] == anchors
    assert sum(sizes["positives"]) == min(100, wrong_anomalies + right_anomalies)
    assert sizes["negatives"] == [0, 400]  # no normal pixel is misclassified here


def test_random_sampling_takes_hard_pixels_as_often_as_they_are() -> None:
    anomaly, predicted, _ = scene(1, 1, 64, 128, wrong=0.1)
    hard = {True: 0, False: 0}
    for seed in range(10):
        for aware in hard:
            draws = draw_places(anomaly, predicted, torch.tensor([seed]), PAPER, aware=aware)
            sizes = group_sizes(draws, anomaly, predicted)
            assert sum(sizes["anchors"]) == 50
            assert sum(sizes["negatives"]) == 400
            hard[aware] += sizes["negatives"][0]
    assert hard[True] == 10 * 100
    assert abs(hard[False] / 10 / 400 - 0.1) < 0.03


def test_without_a_mistake_random_and_aware_sampling_are_one() -> None:
    anomaly, _, seeds = scene(2, 2, 16, 32)
    right = anomaly == 1
    aware, random = (draw_places(anomaly, right, seeds, PAPER, aware=aware) for aware in (True, False))
    for one, other in zip(roles(aware), roles(random), strict=True):
        assert torch.equal(one.index, other.index)
        assert torch.equal(one.chosen, other.chosen)


def test_images_without_anomalies_all_void_or_smaller_than_the_counts() -> None:
    anomaly = torch.zeros(3, 4, 5, dtype=torch.uint8)
    anomaly[1] = 255
    anomaly[2, 0, :3] = 1
    draws = draw_places(anomaly, torch.zeros(3, 4, 5, dtype=torch.bool), torch.arange(3), PAPER)
    assert [places.chosen.sum(1).tolist() for places in roles(draws)] == [[0, 0, 3], [0, 0, 3], [20, 0, 17]]
    assert [tuple(places.index.shape) for places in roles(draws)] == [(3, 50), (3, 100), (3, 400)]


def test_every_pixel_of_a_group_is_drawn_equally_often() -> None:
    anomaly = torch.ones(500, 1, 20, dtype=torch.uint8)
    predicted = (torch.arange(20).reshape(1, 1, 20) < 10).expand(500, 1, 20)
    draws = draw_places(anomaly, predicted, torch.arange(500), FEW)
    anchors, positives = (
        torch.bincount(places.index[places.chosen], minlength=20) / 500 for places in (draws.anchors, draws.positives)
    )
    torch.testing.assert_close(anchors[:10], torch.full((10,), 3 / 10), atol=0.1, rtol=0)  # missed anomalies
    torch.testing.assert_close(anchors[10:], torch.full((10,), 2 / 10), atol=0.1, rtol=0)
    torch.testing.assert_close(positives, torch.full((20,), 7 / 20), atol=0.1, rtol=0)


def test_an_image_draws_alike_in_every_batch() -> None:
    anomaly, predicted, seeds = scene(4, 4, 16, 16)
    joint = draw_places(anomaly, predicted, seeds, PAPER)
    for half in (slice(0, 2), slice(2, 4)):
        alone = draw_places(anomaly[half], predicted[half], seeds[half], PAPER)
        for places, of_joint in zip(roles(alone), roles(joint), strict=True):
            assert torch.equal(places.index, of_joint.index[half])
            assert torch.equal(places.chosen, of_joint.chosen[half])
    other = draw_places(anomaly, predicted, seeds + 1, PAPER)
    assert not torch.equal(other.negatives.index, joint.negatives.index)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_features_of_single_pixels_and_their_gradient(layout: torch.memory_format) -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    index = torch.tensor([[0, 7, 7], [19, 3, 0]])
    picked = features_at(features, index)
    for i in range(2):
        for k in range(3):
            y, x = divmod(int(index[i, k]), 5)
            assert torch.equal(picked[i, k], features[i, :, y, x])
    picked.sum().backward()
    assert features.grad is not None
    assert features.grad[0, :, 1, 2].tolist() == [2.0] * 3  # twice picked
    assert float(features.grad.sum()) == 18
