from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.losses.contrast import Positives, contrastive_loss, is_aware, positives_of
from train.losses.sampling import Counts, Draws, Places, draw_places, features_at

SMALL = Counts(anchors=4, positives=5, hard_negatives=2, easy_negatives=4)


def naive(
    features: torch.Tensor,
    draws: Draws,
    domain: list[int],
    domains: int,
    positives: Positives,
    *,
    alpha: float = 0.1,
    log: bool = True,
    normalise: bool = True,
) -> float:
    """Equation 3, pair by pair."""

    def samples(places: Places, first: int) -> list[tuple[int, int, list[float]]]:
        found = []
        for i in range(len(domain)):
            for k in places.chosen[i].nonzero().flatten().tolist():
                vector = features[i, first + k].double()
                vector = vector / vector.norm() if normalise else vector
                found.append((i, int(places.index[i, k]), vector.tolist()))
        return found

    def similarity(one: list[float], other: list[float]) -> float:
        return math.exp(sum(x * y for x, y in zip(one, other, strict=True)) / alpha)

    from_positives = draws.anchors.index.shape[1]
    from_negatives = from_positives + draws.positives.index.shape[1]
    result = 0.0
    for d in range(domains):
        anchors = [a for a in samples(draws.anchors, 0) if domain[a[0]] == d]
        negatives = [n for n in samples(draws.negatives, from_negatives) if domain[n[0]] == d]
        of_anchors = []
        for image, pixel, a in anchors:
            ratios = []
            for other_image, other_pixel, p in samples(draws.positives, from_positives):
                inside = {"same": domain[other_image] == d, "other": domain[other_image] != d, "union": True}
                if inside[positives] and (image, pixel) != (other_image, other_pixel):
                    near = similarity(a, p)
                    ratios.append(near / (near + sum(similarity(a, n) for _, _, n in negatives)))
            if ratios and negatives:
                of_anchors.append(sum(-math.log(r) if log else -r for r in ratios) / len(ratios))
        if of_anchors:
            result += sum(of_anchors) / len(of_anchors)
    return result * 2 / domains


def scene(seed: int, domains: int, share: float = 0.2) -> tuple[torch.Tensor, Draws, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    kind = torch.rand(5, 4, 6, generator=rng)
    anomaly = torch.where(kind < share, 1, torch.where(kind > 0.9, 255, 0)).to(torch.uint8)
    predicted = torch.rand(5, 4, 6, generator=rng) < 0.5
    domain = torch.randint(0, domains, (5,), generator=rng)
    draws = draw_places(anomaly, predicted, torch.randint(0, 2**62, (5,), generator=rng), SMALL)
    return features_at(torch.randn(5, 3, 4, 6, generator=rng), draws.index), draws, domain


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    domains=st.integers(2, 4),
    share=st.sampled_from([0.0, 0.05, 0.3, 0.95]),
    positives=st.sampled_from(["same", "union", "other"]),
    log=st.booleans(),
    normalise=st.booleans(),
)
def test_equation_3_pair_by_pair(
    seed: int, domains: int, share: float, positives: Positives, log: bool, normalise: bool
) -> None:
    features, draws, domain = scene(seed, domains, share)
    alpha = 0.1 if normalise else 1.0
    got = contrastive_loss(
        features, draws, domain, domains=domains, positives=positives, alpha=alpha, log=log, normalise=normalise
    )
    expected = naive(features, draws, domain.tolist(), domains, positives, alpha=alpha, log=log, normalise=normalise)
    assert float(got) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def toy(angles: dict[str, list[float]], pixels: dict[str, list[int]]) -> tuple[torch.Tensor, Draws]:
    """Two images, one a domain, with unit vectors at these angles (in degrees), as [of image 0, of image 1]."""
    places = {}
    for role, of_role in pixels.items():
        index = torch.tensor(of_role).reshape(2, -1)
        places[role] = Places(index.clamp(min=0), index >= 0)
    turned = torch.cat([torch.tensor(of_role).reshape(2, -1) for of_role in angles.values()], 1).deg2rad()
    return torch.stack([turned.cos(), turned.sin()], 2), Draws(**places)


DOMAIN = torch.tensor([0, 1])


def test_by_hand_with_and_without_the_logarithm() -> None:
    """One anchor, positive and negative an image; those of image 1 are turned by 90 degrees."""
    features, draws = toy(
        {"anchors": [0, 90], "positives": [0, 90], "negatives": [180, 270]},
        {"anchors": [0, 0], "positives": [1, 1], "negatives": [2, 2]},
    )
    own, across = (1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1)))  # a.p = 1 and 0, a.n = -1, alpha = 1
    expected: dict[Positives, list[float]] = {"same": [own], "other": [across], "union": [own, across]}
    for positives, ratios in expected.items():
        logged = contrastive_loss(features, draws, DOMAIN, alpha=1.0, positives=positives)
        printed = contrastive_loss(features, draws, DOMAIN, alpha=1.0, positives=positives, log=False)
        assert float(logged) == pytest.approx(-2 * sum(math.log(r) for r in ratios) / len(ratios), rel=1e-5)
        assert float(printed) == pytest.approx(-2 * sum(ratios) / len(ratios), rel=1e-5)


def test_without_the_logarithm_a_hopeless_pair_gets_no_gradient() -> None:
    features, draws = toy(
        {"anchors": [0, 0], "positives": [170, 170], "negatives": [10, 10]},
        {"anchors": [0, 0], "positives": [1, 1], "negatives": [2, 2]},
    )
    size = {}
    for log in (True, False):
        learning = features.clone().requires_grad_()
        contrastive_loss(learning, draws, DOMAIN, log=log).backward()
        assert learning.grad is not None
        size[log] = float(learning.grad.norm())
    assert size[True] > 1
    assert size[False] < 1e-6


def test_an_anchor_is_not_its_own_positive() -> None:
    """Pixel 0 of image 0 is anchor and positive; pixel 0 of image 1 is another pixel."""
    features, draws = toy(
        {"anchors": [0, 0], "positives": [0, 90], "negatives": [180, 180]},
        {"anchors": [0, -1], "positives": [0, 0], "negatives": [2, 2]},
    )
    assert float(contrastive_loss(features, draws, DOMAIN, positives="same")) == 0.0
    union = contrastive_loss(features, draws, DOMAIN, positives="union", alpha=1.0)
    assert float(union) == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-5)


def test_negatives_are_of_the_anchors_domain() -> None:
    features, draws = toy(
        {"anchors": [0, 0], "positives": [0, 0], "negatives": [180, 0]},
        {"anchors": [0, -1], "positives": [-1, 1], "negatives": [2, 2]},
    )
    before = contrastive_loss(features, draws, DOMAIN)
    features[1, 2] *= -1
    assert float(contrastive_loss(features, draws, DOMAIN)) == float(before)
    features[0, 2] *= -1
    assert float(contrastive_loss(features, draws, DOMAIN)) > float(before) + 0.5


def test_no_pairs_are_zero_with_a_graph() -> None:
    for share in (0.0, 1.0):  # no anchors; no negatives
        features, draws, domain = scene(0, 2, share)
        features.requires_grad_()
        for log in (True, False):
            loss = contrastive_loss(features, draws, domain, log=log)
            assert float(loss.detach()) == 0.0
            loss.backward()
        assert features.grad is not None
        assert not features.grad.any()


@pytest.mark.parametrize("positives", ["same", "union", "other"])
@pytest.mark.parametrize("log", [True, False])
def test_gradients(positives: Positives, log: bool) -> None:
    features, draws, domain = scene(5, 2)
    learning = features.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: contrastive_loss(f, draws, domain, positives=positives, log=log, alpha=0.5),
        (learning,),
        fast_mode=True,
    )


def test_void_gets_no_gradient_and_every_other_pixel_does() -> None:
    rng = torch.Generator().manual_seed(6)
    anomaly = torch.where(torch.rand(2, 6, 8, generator=rng) < 0.2, 1, 0).to(torch.uint8)
    anomaly[:, 2:4] = 255
    maps = torch.randn(2, 3, 6, 8, generator=rng, requires_grad=True)
    draws = draw_places(anomaly, anomaly == 1, torch.arange(2), Counts())
    contrastive_loss(features_at(maps, draws.index), draws, DOMAIN).backward()
    assert maps.grad is not None
    assert not maps.grad[:, :, 2:4].any()
    assert (maps.grad[:, :, :2].abs().sum(1) > 0).all()


def test_float32_under_autocast_and_finite_far_out() -> None:
    features, draws, domain = scene(7, 2)
    low = features.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(low, draws, domain)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(naive(low.float(), draws, domain.tolist(), 2, "union"), rel=1e-4)
    learning = (features * 100).requires_grad_()
    far = contrastive_loss(learning, draws, domain, normalise=False, alpha=0.01)
    far.backward()
    assert learning.grad is not None
    assert math.isfinite(float(far.detach()))
    assert bool(learning.grad.isfinite().all())


def test_what_the_variants_are() -> None:
    assert [is_aware(variant) for variant in ("pcl", "cpcl", "cacl")] == [False, False, True]
    assert [positives_of(variant, "other") for variant in ("pcl", "cpcl", "cacl")] == ["same", "other", "other"]
    assert [positives_of(variant, "union") for variant in ("pcl", "cpcl", "cacl")] == ["same", "union", "union"]
