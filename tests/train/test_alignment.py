"""The adversarial steps do what they are for: afterwards nothing linear in the features tells the domains."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from train.losses.domain import alignment_loss, classifier_loss, smoothed_label

STEPS, IMAGES, SIDE, SHIFT = 400, 16, 4, 2.0


class Encoder(nn.Module):
    """The first four channels, and whatever it learns to add to them."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = nn.Sequential(nn.Conv2d(5, 16, 1), nn.ReLU(), nn.Conv2d(16, 4, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        corrected: torch.Tensor = images[:, :4] + self.correction(images)
        return corrected


def draw(images: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise; domain 1 lies 4 away from domain 0 in channel 0, channel 4 shows why, channel 1 is the class."""
    domain = torch.arange(images) % 2
    side = (domain * 2.0 - 1)[:, None, None]
    pictures = torch.randn(images, 5, SIDE, SIDE)
    pictures[:, 0] += SHIFT * side
    pictures[:, 4] = side + 0.3 * pictures[:, 4]
    return pictures, domain, (pictures[:, 1] > 0).long()


@torch.no_grad()
def probe(encoder: Encoder) -> float:
    """Share of new pixels whose domain a linear probe (least squares) tells from their features."""

    def pixels() -> tuple[torch.Tensor, torch.Tensor]:
        pictures, domain, _ = draw(200)
        features = encoder(pictures).movedim(1, -1).flatten(0, 2)
        ones = torch.ones(len(features), 1)
        return torch.cat([features, ones], 1).double(), domain.repeat_interleave(SIDE**2).double() * 2 - 1

    (features, domain), (others, of_others) = pixels(), pixels()
    weights = torch.linalg.solve(features.T @ features, features.T @ domain)
    return float(((others @ weights > 0) == (of_others > 0)).double().mean())


@dataclass
class Outcome:
    before: float
    after: float
    task: float


def train(seed: int, *, align: bool) -> Outcome:
    """The task beside the domain game; without `align` only the classifier learns of the domains."""
    torch.manual_seed(seed)
    encoder, head = Encoder(), nn.Conv2d(4, 2, 1)
    classifier = nn.Sequential(nn.Conv2d(4, 16, 1), nn.ReLU(), nn.Conv2d(16, 1, 1))
    network = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.02)
    adversary = torch.optim.SGD(classifier.parameters(), lr=0.1)
    before = probe(encoder)
    for step in range(STEPS):
        pictures, domain, classes = draw(IMAGES)
        tau = smoothed_label(step, STEPS)
        features = encoder(pictures)
        loss = nn.functional.cross_entropy(head(features), classes)
        adversary.zero_grad()
        classifier_loss(classifier(features.detach()), domain, tau).backward()
        adversary.step()
        if align:
            held = {name: weight.detach() for name, weight in classifier.named_parameters()}
            maps = torch.func.functional_call(classifier, held, (features,))
            loss = loss + alignment_loss(maps, domain, tau)
        network.zero_grad()
        loss.backward()
        network.step()
    pictures, _, classes = draw(200)
    task = float((head(encoder(pictures)).argmax(1) == classes).double().mean())
    return Outcome(before, probe(encoder), task)


def test_a_linear_probe_tells_the_domains_before_and_not_after() -> None:
    aligned = train(0, align=True)
    assert aligned.before > 0.95
    assert aligned.after < 0.65
    assert aligned.task > 0.85  # they are not aligned by being emptied


def test_without_the_swapped_step_the_domains_stay_apart() -> None:
    control = train(0, align=False)
    assert control.before > 0.95
    assert control.after > 0.95
