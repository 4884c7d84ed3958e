from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.losses.known import known_cross_entropy
from train.losses.ovr import top_k_ovr
from train.methods.ovr import KeepKind, distance


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def naive_ovr(logits: torch.Tensor, outlier: torch.Tensor, k: int, s: float) -> float:
    """Equation 1, pixel by pixel."""
    terms = []
    for n, y, x in outlier.nonzero().tolist():
        largest = sorted(logits[n, :, y, x].tolist(), reverse=True)[:k]
        terms += [softplus(s * z) for z in largest]
    return sum(terms) / len(terms) if terms else 0.0


def naive_cross_entropy(logits: torch.Tensor, semantic: torch.Tensor, weights: list[float] | None = None) -> float:
    total = share = 0.0
    for n, y, x in (semantic != 255).nonzero().tolist():
        z, label = logits[n, :, y, x].tolist(), int(semantic[n, y, x])
        w = weights[label] if weights else 1.0
        total += w * (math.log(sum(math.exp(v) for v in z)) - z[label])
        share += w
    return total / share if share else 0.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 19), s=st.floats(0.1, 5), share=st.sampled_from([0.0, 0.2, 1.0]))
def test_top_k_ovr_is_equation_1(seed: int, k: int, s: float, share: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 19, 4, 5, generator=rng) * 6
    outlier = torch.rand(2, 4, 5, generator=rng) < share
    assert float(top_k_ovr(logits, outlier, k=k, s=s)) == pytest.approx(naive_ovr(logits, outlier, k, s), rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), weighted=st.booleans())
def test_cross_entropy_is_the_mean_over_labelled_pixels(seed: int, weighted: bool) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 19, 4, 5, generator=rng) * 4
    semantic = torch.randint(0, 19, (2, 4, 5), generator=rng).to(torch.uint8)
    semantic[torch.rand(2, 4, 5, generator=rng) < 0.3] = 255
    weights = torch.rand(19, generator=rng) + 0.1 if weighted else None
    expected = naive_cross_entropy(logits, semantic, weights.tolist() if weights is not None else None)
    assert float(known_cross_entropy(logits, semantic, weights=weights)) == pytest.approx(expected, rel=1e-5)


def test_without_outliers_or_labels_the_losses_are_zero_with_a_graph() -> None:
    logits = torch.randn(1, 19, 2, 2, requires_grad=True)
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    void = torch.full((1, 2, 2), 255, dtype=torch.uint8)
    total = top_k_ovr(logits, nothing) + known_cross_entropy(logits, void) + distance(logits, logits, nothing, "kl")
    assert float(total.detach()) == 0.0
    total.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("k", [0, 20])
def test_k_beyond_the_classes_is_an_error(k: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be within 1\.\.19, got {k}"):
        top_k_ovr(torch.zeros(1, 19, 1, 1), torch.ones(1, 1, 1, dtype=torch.bool), k=k)


def test_only_outlier_pixels_and_only_their_largest_logits_get_a_gradient() -> None:
    logits = torch.randn(1, 19, 3, 3, requires_grad=True)
    outlier = torch.zeros(1, 3, 3, dtype=torch.bool)
    outlier[0, 1, 2] = True
    top_k_ovr(logits, outlier, k=5).backward()
    assert logits.grad is not None
    assert int((logits.grad != 0).sum()) == 5
    assert set(logits.grad[0, :, 1, 2].nonzero().flatten().tolist()) == set(
        logits[0, :, 1, 2].topk(5).indices.tolist()
    )
    assert (logits.grad[logits.grad != 0] > 0).all()


def test_losses_are_float32_under_autocast() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = (torch.randn(1, 19, 8, 8, generator=rng) * 10).bfloat16()
    outlier = torch.rand(1, 8, 8, generator=rng) < 0.5
    semantic = torch.randint(0, 19, (1, 8, 8), generator=rng).to(torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        low = [
            top_k_ovr(logits, outlier),
            known_cross_entropy(logits, semantic),
            distance(logits, logits * 0.9, outlier, "kl"),
            distance(logits, logits * 0.9, outlier, "logits"),
            distance(logits, logits * 0.9, outlier, "energy"),
        ]
    assert all(loss.dtype == torch.float32 for loss in low)
    assert float(low[0]) == pytest.approx(naive_ovr(logits.float(), outlier, 5, 2.0), rel=1e-5)
    assert float(low[1]) == pytest.approx(naive_cross_entropy(logits.float(), semantic), rel=1e-5)


@pytest.mark.parametrize("kind", ["kl", "logits", "energy"])
@pytest.mark.parametrize("balance", [0.0, 0.4, 1.0])
def test_balanced_distance_by_hand(kind: KeepKind, balance: float) -> None:
    torch.manual_seed(4)
    then = torch.randn(2, 5, 4, 6)
    then[:, 0] += 2  # most pixels are of class 0
    now = then + torch.randn_like(then) / 3
    known = torch.rand(2, 4, 6) < 0.8
    pixels = [(n, y, x) for n in range(2) for y in range(4) for x in range(6) if known[n, y, x]]
    classes = [int(then[n, :, y, x].argmax()) for n, y, x in pixels]
    total = weight = 0.0
    for (n, y, x), of_class in zip(pixels, classes, strict=True):
        alone = torch.zeros_like(known)
        alone[n, y, x] = True
        share = classes.count(of_class) ** -balance
        total += share * float(distance(now, then, alone, kind))
        weight += share
    assert float(distance(now, then, known, kind, balance=balance)) == pytest.approx(total / weight, rel=1e-5)


def test_distances_are_what_they_say() -> None:
    rng = torch.Generator().manual_seed(1)
    now, then = torch.randn(2, 1, 19, 2, 3, generator=rng)
    known = torch.tensor([[[True, False, True], [True, True, False]]])
    kl, logits, energy = [], [], []
    for _, y, x in known.nonzero().tolist():
        p, q = then[0, :, y, x].softmax(0), now[0, :, y, x].softmax(0)
        kl.append(float((p * (p / q).log()).sum()))
        logits.append(float((now[0, :, y, x] - then[0, :, y, x]).square().mean()))
        energy.append(float(now[0, :, y, x].exp().sum().log() - then[0, :, y, x].exp().sum().log()) ** 2)
    assert float(distance(now, then, known, "kl")) == pytest.approx(sum(kl) / 4, rel=1e-4)
    assert float(distance(now, then, known, "logits")) == pytest.approx(sum(logits) / 4, rel=1e-4)
    assert float(distance(now, then, known, "energy")) == pytest.approx(sum(energy) / 4, rel=1e-4)
