"""Two processes with a part of the batch each, and one with all of it: the same losses and gradients.

The processes run this file as a script; what they hand back are the shares of the losses and the gradients.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from train.losses.balanced import balanced_cross_entropy
from train.losses.contrast import contrastive_loss
from train.losses.domain import alignment_loss, classifier_loss
from train.losses.gan import discriminator_loss, feature_matching, generator_loss, perceptual_loss
from train.losses.sampling import Counts, draw_places, features_at
from train.ranks import gather, rank, total, world

SPLITS = {"halves": 3, "uneven": 1, "no anomaly on rank 0": 2}
"""How many of the six images the first process has; in the last scene these hold no anomaly and no valid position."""

Outcome = dict[str, torch.Tensor]


def scene(name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(11)
    anomaly = (torch.rand(6, 5, 7, generator=rng) < 0.3).to(torch.uint8)
    anomaly[torch.rand(6, 5, 7, generator=rng) < 0.1] = 255
    if name.startswith("no anomaly"):
        anomaly[: SPLITS[name]] = torch.where(torch.rand(2, 5, 7, generator=rng) < 0.5, 0, 255).to(torch.uint8)
    valid = (anomaly == 1) & (torch.rand(6, 5, 7, generator=rng) < 0.7)
    maps = torch.randn(6, 3, 5, 7, generator=rng, dtype=torch.float64)
    domain = torch.tensor([0, 1, 2, 0, 1, 2])
    return maps, anomaly, valid, domain, torch.randint(0, 2**62, (6,), generator=rng)


def losses(name: str, images: slice) -> Outcome:
    """Each loss of these images, and its gradient by the maps."""
    maps, anomaly, valid, domain, seeds = (tensor[images] for tensor in scene(name))
    counts = Counts(anchors=6, positives=5, hard_negatives=3, easy_negatives=5)
    draws = draw_places(anomaly, maps[:, 0] > 0, seeds, counts)

    def contrast(log: bool, positives: str) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda m: contrastive_loss(
            features_at(m, draws.index),
            draws,
            domain,
            domains=3,
            positives=positives,
            log=log,  # type: ignore[arg-type]
        )

    functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "balanced": lambda m: balanced_cross_entropy(m[:, :2], anomaly, (1.5, 8.0)),
        "alignment": lambda m: alignment_loss(m, domain, 0.8, domains=3, valid=valid),
        "classifier": lambda m: classifier_loss(m, domain, 0.8, domains=3),
        "alignment of two": lambda m: alignment_loss(m[:, :1], domain % 2, 0.8),
        "discriminator": lambda m: discriminator_loss([[m]], [[m.square()]]),
        "generator": lambda m: generator_loss([[m]]),
        "matching": lambda m: feature_matching([[m.flip(1), m]], [[m, m]]),
        "perceptual": lambda m: perceptual_loss([m.flip(1)], [m], [0.5]),
        "contrast": contrast(True, "union"),
        "contrast as printed": contrast(False, "other"),
        "contrast within": contrast(True, "same"),
    }
    outcome = {"drawn": draws.index}
    for key, function in functions.items():
        learning = maps.clone().requires_grad_()
        loss = function(learning)
        loss.backward()
        assert learning.grad is not None
        outcome[key], outcome[f"gradient of {key}"] = loss.detach(), learning.grad
    return outcome


def work(number: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=number, world_size=2)
    assert (rank(), world()) == (number, 2)
    results = {
        name: losses(name, slice(0, first) if number == 0 else slice(first, 6)) for name, first in SPLITS.items()
    }
    rows = torch.full((number + 1, 2), float(number), requires_grad=True)
    gathered = gather(rows)
    (gathered * (number + 1)).sum().backward()
    assert rows.grad is not None
    results["ranks"] = {
        "gathered": gathered.detach(),
        "gradient": rows.grad,
        "total": total(torch.tensor(number + 1)),
    }
    torch.save(results, out)
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Outcome]]:
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, __file__]
    processes = [
        subprocess.Popen([*command, str(number), str(folder / "store"), str(folder / f"{number}.pt")])
        for number in range(2)
    ]
    try:
        assert [process.wait(timeout=240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{number}.pt", weights_only=True) for number in range(2)]


@pytest.mark.parametrize("name", SPLITS)
def test_two_processes_are_one_on_the_joint_batch(name: str, both: list[dict[str, Outcome]]) -> None:
    first, second = (results[name] for results in both)
    joint = losses(name, slice(0, 6))
    assert float(joint["contrast"]) > 0.1
    assert float(joint["alignment"]) > 0.1
    for key, expected in joint.items():
        if key == "drawn" or key.startswith("gradient"):
            got = torch.cat([first[key], second[key]])
        else:
            got = first[key] + second[key]
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-9, msg=lambda text, key=key: f"{key}: {text}")


def test_sums_and_rows_of_all_ranks(both: list[dict[str, Outcome]]) -> None:
    first, second = (results["ranks"] for results in both)
    for results in (first, second):
        assert results["gathered"].tolist() == [[0.0] * 2, [1.0] * 2, [1.0] * 2]
        assert int(results["total"]) == 3
    assert first["gradient"].tolist() == [[3.0] * 2]  # 1 from rank 0 and 2 from rank 1
    assert second["gradient"].tolist() == [[3.0] * 2] * 2


def test_one_process_needs_no_set_up() -> None:
    assert (rank(), world()) == (0, 1)
    tensor = torch.randn(2, 3, requires_grad=True)
    assert gather(tensor) is tensor
    assert torch.equal(total(tensor), tensor)
    assert not total(tensor).requires_grad


if __name__ == "__main__":
    work(int(sys.argv[1]), *sys.argv[2:])
