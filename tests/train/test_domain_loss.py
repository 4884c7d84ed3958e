from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.losses.domain import (
    alignment_loss,
    classifier_loss,
    label_values,
    reverse_gradient,
    smoothed_label,
    swapped_values,
)


def paper(void: torch.Tensor, mix: torch.Tensor, of_void: float, of_mix: float) -> float:
    """1/N sum_i (P_V - of_void)^2 + (P_A - of_mix)^2, position by position; equally many of both."""
    count, _, height, width = void.shape
    squares = 0.0
    for i in range(count):
        for y in range(height):
            for x in range(width):
                squares += (float(void[i, 0, y, x]) - of_void) ** 2 + (float(mix[i, 0, y, x]) - of_mix) ** 2
    return squares / count / height / width


def naive(
    maps: torch.Tensor, domain: list[int], valid: torch.Tensor, tau: float, domains: int, *, swap: bool
) -> float:
    """Any number of domains: the mean distance to each other domain's label, less what no prediction can avoid."""

    def label(of: int, channel: int) -> float:
        return tau if of == channel else (1 - tau) / (domains - 1)

    result = 0.0
    for d in range(domains):
        images = [i for i in range(len(domain)) if domain[i] == d and valid[i].any()]
        for i in images:
            places = valid[i].nonzero().tolist()
            for y, x in places:
                for c in range(domains):
                    of = [e for e in range(domains) if e != d] if swap else [d]
                    target = sum(label(e, c) for e in of) / len(of)
                    result += (float(maps[i, c, y, x]) - target) ** 2 / 2 / len(places) / len(images) * 2 / domains
    return result


def test_tau_goes_from_its_base_to_even_labels() -> None:
    assert [smoothed_label(i, 100) for i in (0, 25, 50, 100)] == pytest.approx([1.0, 0.875, 0.75, 0.5])
    assert [smoothed_label(i, 10, base=0.9) for i in (0, 5, 10)] == pytest.approx([0.9, 0.7, 0.5])
    assert [smoothed_label(i, 10, base=0.9, dynamic=False) for i in (0, 5, 10)] == [0.9, 0.9, 0.9]
    assert [smoothed_label(i, 3, domains=3) for i in (0, 3)] == pytest.approx([1.0, 1 / 3])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), tau=st.floats(0, 1))
def test_two_domains_are_the_papers_equation_and_its_missing_half(seed: int, tau: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(6, 1, 2, 3, generator=rng)
    domain = torch.tensor([1, 0, 0, 1, 1, 0])
    void, mix = maps[domain == 0], maps[domain == 1]
    assert float(alignment_loss(maps, domain, tau)) == pytest.approx(paper(void, mix, 1 - tau, tau), rel=1e-5)
    assert float(classifier_loss(maps, domain, tau)) == pytest.approx(paper(void, mix, tau, 1 - tau), rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), tau=st.floats(0, 1))
def test_one_channel_a_domain_is_the_scalar_form_for_two(seed: int, tau: float) -> None:
    maps = torch.rand(4, 1, 2, 3, generator=torch.Generator().manual_seed(seed))
    both = torch.cat([maps, 1 - maps], 1)
    domain = torch.tensor([0, 1, 1, 0])
    for loss in (alignment_loss, classifier_loss):
        assert float(loss(both, domain, tau)) == pytest.approx(float(loss(maps, domain, tau)), rel=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), domains=st.integers(2, 5), tau=st.floats(0, 1))
def test_more_domains_position_by_position(seed: int, domains: int, tau: float) -> None:
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(7, domains, 2, 3, generator=rng)
    valid = torch.rand(7, 2, 3, generator=rng) < 0.5
    domain = torch.randint(0, domains, (7,), generator=rng)
    for loss, swap in ((alignment_loss, True), (classifier_loss, False)):
        expected = naive(maps, domain.tolist(), valid, tau, domains, swap=swap)
        assert float(loss(maps, domain, tau, domains=domains, valid=valid)) == pytest.approx(expected, rel=1e-4)


def test_the_distance_to_each_other_label_in_turn_has_the_gradient_of_their_mean() -> None:
    maps = torch.randn(3, 3, 1, 1, dtype=torch.float64, requires_grad=True)
    domain, labels = torch.arange(3), label_values(0.8, 3, 3).double()
    alignment_loss(maps, domain, 0.8, domains=3).backward()
    pairs = [(d, e) for d in range(3) for e in range(3) if d != e]
    each = sum((maps[d, :, 0, 0] - labels[e]).square().sum() / 2 / 2 for d, e in pairs) * (2 / 3)
    assert isinstance(each, torch.Tensor)
    torch.testing.assert_close(torch.autograd.grad(each, maps)[0], maps.grad, rtol=1e-6, atol=1e-7)


def test_labels_are_shares_and_coincide_in_the_end() -> None:
    for domains in (2, 3, 4):
        for tau in (1.0, 0.7, 1 / domains):
            labels = label_values(tau, domains, domains)
            torch.testing.assert_close(labels.sum(1), torch.ones(domains))
            torch.testing.assert_close(swapped_values(labels).sum(1), torch.ones(domains))
        torch.testing.assert_close(labels, swapped_values(labels))
    torch.testing.assert_close(swapped_values(label_values(0.9, 2, 1)), torch.tensor([[0.1], [0.9]]))


def test_the_two_steps_pull_apart_until_the_labels_coincide() -> None:
    """The contradiction of equation 2: minimised by the classifier too, it would teach it the opposite."""
    domain = torch.tensor([0, 1])
    right = torch.tensor([1.0, 0.0]).reshape(2, 1, 1, 1)
    assert float(classifier_loss(right, domain, 1.0)) == 0.0
    assert float(alignment_loss(right, domain, 1.0)) == 2.0
    assert float(alignment_loss(1 - right, domain, 1.0)) == 0.0
    undecided = torch.full((2, 1, 1, 1), 0.5, requires_grad=True)
    (network,) = torch.autograd.grad(alignment_loss(undecided, domain, 0.9), undecided)
    (classifier,) = torch.autograd.grad(classifier_loss(undecided, domain, 0.9), undecided)
    torch.testing.assert_close(network, -classifier)
    assert network.flatten()[0] > 0 > network.flatten()[1]  # VoidClass is moved towards 0, AnomalyMix towards 1
    maps = torch.randn(2, 1, 3, 3)
    assert float(alignment_loss(maps, domain, 0.5)) == float(classifier_loss(maps, domain, 0.5))


def test_domains_count_alike_however_many_images_they_have() -> None:
    maps = torch.tensor([0.2, 0.2, 0.2, 0.6]).reshape(4, 1, 1, 1)
    loss = classifier_loss(maps, torch.tensor([0, 0, 0, 1]), 1.0)
    assert float(loss) == pytest.approx(0.8**2 + 0.6**2)


def test_nothing_valid_and_a_missing_domain_are_zero_with_a_graph() -> None:
    maps = torch.randn(2, 1, 3, 3, requires_grad=True)
    domain = torch.zeros(2, dtype=torch.int64)
    loss = alignment_loss(maps, domain, 1.0, valid=torch.zeros(2, 3, 3, dtype=torch.bool))
    assert float(loss.detach()) == 0.0
    loss.backward()
    assert maps.grad is not None
    assert not maps.grad.any()
    assert float(classifier_loss(maps.detach(), domain, 1.0)) == pytest.approx(
        float((maps.detach() - 1).square().mean()), rel=1e-5
    )


@pytest.mark.parametrize(("channels", "domains"), [(1, 3), (3, 2), (2, 3), (1, 1)])
def test_channels_that_do_not_fit_are_an_error(channels: int, domains: int) -> None:
    with pytest.raises(ValueError, match=rf"one channel a domain.*got {channels} for {domains}"):
        alignment_loss(torch.zeros(1, channels, 1, 1), torch.zeros(1, dtype=torch.int64), 1.0, domains=domains)


@pytest.mark.parametrize("domains", [2, 3])
def test_gradients(domains: int) -> None:
    maps = torch.randn(4, 1 if domains == 2 else domains, 2, 2, dtype=torch.float64, requires_grad=True)
    domain = torch.arange(4) % domains
    valid = torch.rand(4, 2, 2) < 0.7
    for loss in (alignment_loss, classifier_loss):
        assert torch.autograd.gradcheck(
            lambda m, loss=loss: loss(m, domain, 0.8, domains=domains, valid=valid), (maps,)
        )


def test_float32_under_autocast() -> None:
    maps = torch.rand(2, 1, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = alignment_loss(maps, torch.tensor([0, 1]), 0.9)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(paper(maps[:1], maps[1:], 0.1, 0.9), rel=1e-5)


def test_reversal_turns_only_the_gradient_around() -> None:
    features = torch.randn(3, 2, requires_grad=True)
    seen = reverse_gradient(features, 0.25)
    assert torch.equal(seen, features)
    seen.square().sum().backward()
    torch.testing.assert_close(features.grad, -0.25 * 2 * features.detach())
