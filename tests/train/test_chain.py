"""From a photograph to the five maps: against loops over pixels, saved and loaded, and with broken files."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from shards.errors import BadInput, UserError
from train.chain import Chain, chain_from, load_chain, make_chain
from train.chain_info import PicturesInfo, copy_chain
from train.checkpoint import load_run
from train.generators import Pictures, Spade
from train.machine import Machine
from train.methods.resynthesis import ResynthesisConfig
from train.methods.segmenter import SegmenterConfig
from train.networks.features import VGGFeatures
from train.networks.weights import weights_sha256
from train.run_resynthesis import train_resynthesis
from train.run_segmenters import train_segmenter

CPU = torch.device("cpu")
SIZE = (64, 32)


def picture(seed: int = 0, size: tuple[int, int] = (100, 46)) -> np.ndarray:
    """Blobs and noise, of a size that nothing divides."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noise = rng.integers(-20, 21, (size[1], size[0], 3))
    return (np.asarray(coarse) + noise).clip(0, 255).astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.tensor(image).movedim(-1, 0)[None] / 255


def nearest(labels: np.ndarray) -> np.ndarray:
    """At SIZE, each pixel the label at its own centre."""
    height, width = labels.shape
    found = np.zeros(SIZE[::-1], np.uint8)
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            found[y, x] = labels[int((y + 0.5) * height / SIZE[1]), int((x + 0.5) * width / SIZE[0])]
    return found


def bilinear(values: np.ndarray) -> np.ndarray:
    """At SIZE, between the four nearest centres."""
    height, width = values.shape
    found = np.zeros(SIZE[::-1])
    for y in range(SIZE[1]):
        for x in range(SIZE[0]):
            v = min(max((y + 0.5) * height / SIZE[1] - 0.5, 0), height - 1)
            u = min(max((x + 0.5) * width / SIZE[0] - 0.5, 0), width - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            upper = values[top, left] * (1 - u + left) + values[top, right] * (u - left)
            lower = values[bottom, left] * (1 - u + left) + values[bottom, right] * (u - left)
            found[y, x] = upper * (1 - v + top) + lower * (v - top)
    return found


def assert_rounded(stored: np.ndarray, values: np.ndarray) -> None:
    """Each stored byte is the one nearest to 255 times the value."""
    assert stored.dtype == np.uint8
    assert float(np.abs(stored - 255 * values).max()) <= 0.5 + 1e-2
    assert len(np.unique(stored)) > 20


@torch.no_grad()
def test_the_maps_pixel_by_pixel(untrained: Callable[[int], Chain]) -> None:
    chain, image = untrained(0), picture()
    seen = chain.look(image)
    assert {name: one.shape for name, one in seen.items()} == {
        "image": (32, 64, 3), "synthesis": (32, 64, 3), "predicted": (32, 64), "entropy": (32, 64),
        "distance": (32, 64), "perceptual": (32, 64),
    }  # fmt: skip
    small = np.array(Image.fromarray(image).resize(SIZE, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(seen["image"], small)

    logits = chain.segmenter(tensor(small))[0]
    assert logits.shape == (19, 16, 32)
    entropy, distance, classes = np.zeros((16, 32)), np.zeros((16, 32)), np.zeros((16, 32), np.uint8)
    for y in range(16):
        for x in range(32):
            exponentials = [math.exp(z) for z in logits[:, y, x].tolist()]
            p = sorted((e / sum(exponentials) for e in exponentials), reverse=True)
            entropy[y, x] = -sum(value * math.log(value) for value in p)
            distance[y, x] = p[0] - p[1]
            classes[y, x] = int(np.argmax(exponentials))
    np.testing.assert_array_equal(seen["predicted"], nearest(classes))
    assert len(np.unique(classes)) > 1
    assert_rounded(seen["distance"], bilinear(1 - (distance - distance.min()) / distance.max()))
    assert_rounded(seen["entropy"], bilinear((entropy - entropy.min()) / entropy.max()))
    full = replace(chain, info=chain.info.model_copy(update={"normalise": "range"}))
    assert_rounded(full.look(image)["entropy"], bilinear((entropy - entropy.min()) / np.ptp(entropy)))

    painted = chain.generator._network(torch.tensor(seen["predicted"])[None])[0]  # type: ignore[attr-defined]
    assert_rounded(seen["synthesis"], painted.movedim(0, -1).numpy())

    difference = torch.zeros(1, 1, 32, 64)
    mine, theirs = (chain.segmenter.features(tensor(one)) for one in (small, seen["synthesis"]))
    for a, b, weight in zip(mine, theirs, (0.25, 0.5, 1.0), strict=True):
        difference += weight * functional.interpolate((a - b).abs().mean(1, keepdim=True), (32, 64), mode="bicubic")
    low, high = difference.min(), difference.max()
    assert_rounded(seen["perceptual"], ((difference - low) / (high - low))[0, 0].numpy())


def test_swapped_labels_stand_in_for_what_the_segmenter_says(untrained: Callable[[int], Chain]) -> None:
    chain, image = untrained(0), picture()
    swapped = np.full(image.shape[:2], 255, np.uint8)
    swapped[10:30, 20:70] = 13
    plain, wrong = chain.look(image), chain.look(image, swapped=swapped)
    inside = nearest(swapped) == 13
    assert 0 < np.count_nonzero(inside) < inside.size
    np.testing.assert_array_equal(wrong["predicted"], np.where(inside, 13, plain["predicted"]))
    np.testing.assert_array_equal(wrong["synthesis"], chain.generator.paint(wrong["predicted"], ""))
    assert not np.array_equal(wrong["synthesis"], plain["synthesis"])
    for name in ("image", "entropy", "distance"):  # what the segmenter saw is what it was
        np.testing.assert_array_equal(wrong[name], plain[name])


def assert_alike(one: Chain, two: Chain) -> None:
    assert one.describe == two.describe
    first, second = one.look(picture(3)), two.look(picture(3))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)


def test_a_saved_chain_sees_the_same(untrained: Callable[[int], Chain], tmp_path: Path) -> None:
    chain = untrained(0)
    chain.save(tmp_path / "one")
    assert_alike(chain, load_chain(tmp_path / "one", CPU))
    copy_chain(tmp_path / "one", tmp_path / "two")
    assert {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()
    }
    assert json.dumps(chain.describe).count("/") == 2  # JSON, and no path: what segmenter and generator saw
    assert untrained(1).describe != chain.describe


def test_a_saved_chain_holds_its_vgg(untrained: Callable[[int], Chain], tmp_path: Path) -> None:
    vgg = VGGFeatures("vgg19")
    file = tmp_path / "vgg.pth"
    state = {f"features.{name.split('.', 2)[2]}": value for name, value in vgg.state_dict().items()}
    torch.save(state, file)
    plain = untrained(0)
    parts: dict[str, Any] = {"size": SIZE, "vgg": file, "device": CPU}
    whole = _remade(plain, features="vgg19", **parts)
    assert whole.info.features_sha256 == weights_sha256(vgg)
    whole.save(tmp_path / "chain")
    file.unlink()
    assert_alike(whole, load_chain(tmp_path / "chain", CPU))
    assert not np.array_equal(whole.look(picture())["perceptual"], plain.look(picture())["perceptual"])
    with pytest.raises(UserError, match="give --features vgg19"):
        _remade(plain, features="segmenter", **parts)


def _remade(plain: Chain, **options: Any) -> Chain:
    return make_chain(plain.segmenter, plain.info.segmenter, plain.generator, **options)


def test_broken_chains_are_one_sentence(untrained: Callable[[int], Chain], tmp_path: Path) -> None:
    untrained(0).save(tmp_path / "good")
    untrained(1).save(tmp_path / "other")

    def broken(match: str, change: Callable[[Path], Any]) -> None:
        folder = tmp_path / "chain"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "good", folder)
        change(folder)
        with pytest.raises(UserError, match=match) as said:
            load_chain(folder, CPU)
        assert "\n" not in str(said.value)

    def edit(**fields: Any) -> Callable[[Path], Any]:
        def change(folder: Path) -> None:
            info = json.loads((folder / "chain.json").read_text())
            (folder / "chain.json").write_text(json.dumps({**info, **fields}))

        return change

    def half(name: str) -> Callable[[Path], Any]:
        return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:200])

    broken("There is no chain/chain.json in", lambda folder: (folder / "chain.json").unlink())
    broken("chain.json is broken at the file", half("chain.json"))
    broken("chain.json is broken at generator: .*'brush'", edit(generator={"kind": "brush"}))
    broken("chain.json is broken at colour", edit(colour=1))
    for name in ("segmenter.safetensors", "generator.safetensors"):
        broken(f"no weights file .*{name}", lambda folder, name=name: (folder / name).unlink())  # type: ignore[misc]
        broken(f"{name} is cut off", half(name))
        broken(
            f"{name} holds other weights than its folder has on record",
            lambda folder, name=name: shutil.copy(tmp_path / "other" / name, folder / name),  # type: ignore[misc]
        )
    broken(
        "Unknown network 'brush'",
        edit(generator={"kind": "spade", "network": {"name": "brush", "options": {}}, "sha256": ""}),
    )
    lite = {"kind": "spade", "network": {"name": "lite", "options": {}}, "sha256": ""}
    broken("names lite, which is no generator", edit(generator=lite))
    broken("made elsewhere", edit(generator={"kind": "pictures", "folder": "painted", "sha256": ""}))
    broken("model_index.json", edit(generator=DIFFUSERS))


DIFFUSERS = {
    "kind": "diffusers", "folder": "nowhere", "sha256": "", "prompt": "", "steps": 1, "guidance": 1.0, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter and a generator, both finished, and two that are not."""
    folder = tmp_path_factory.mktemp("runs")
    for name, stop in (("", None), ("-half", 1)):
        train_segmenter(
            [tiny_shards],
            folder / f"segmenter{name}",
            config=SegmenterConfig(steps=2, batch=2, crop=None),
            network_options={"width": 0.25},
            machine=Machine(CPU, stop_at=stop),
        )
        machine, config = Machine(CPU, stop_at=stop), ResynthesisConfig(steps=2, batch=2)
        train_resynthesis([tiny_shards], folder / f"generator{name}", config=config, width=0.125, machine=machine)
    return folder


def test_a_chain_of_two_runs(runs: Path) -> None:
    chain = chain_from(size=SIZE, checkpoint=runs / "segmenter", generator=runs / "generator", device="cpu")
    network, info = load_run(runs / "segmenter")
    assert chain.info.segmenter.sha256 == weights_sha256(network)
    assert (chain.info.segmenter.saw, chain.info.segmenter.input_size) == (info.saw, SIZE)
    assert isinstance(chain.generator, Spade)
    assert chain.generator.info.saw == load_run(runs / "generator")[1].saw
    assert chain.look(picture())["synthesis"].shape == (32, 64, 3)
    native = chain_from(checkpoint=runs / "segmenter", generator=runs / "generator", device="cpu")
    assert native.size == chain.generator.trained_size == load_run(runs / "generator")[1].input_size


def test_words_that_make_no_chain_are_one_sentence(runs: Path, tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "size": SIZE, "checkpoint": runs / "segmenter", "generator": runs / "generator", "device": "cpu",
    }  # fmt: skip
    for match, change in {
        "either --checkpoint RUN, or --segmenter": {"checkpoint": None},
        "what paints the resynthesis, by exactly one of": {"generator": None},
        "one of --generator RUN, --diffusers DIR, --pictures DIR": {"pictures": tmp_path},
        "at step 1 of 2; finish it first": {"generator": runs / "generator-half"},
        "is at step 1 of 2; finish it": {"checkpoint": runs / "segmenter-half"},
        "`train segmenter`, no generator": {"generator": runs / "segmenter"},
        "which is no segmenter": {"checkpoint": runs / "generator"},
        "multiples of 32, not 72x32": {"size": (72, 32)},
        "no such folder": {"generator": None, "pictures": tmp_path / "nowhere"},
        "has no model_index.json": {"generator": None, "diffusers": tmp_path},
        "no weights file|holds no checkpoint": {"generator": tmp_path},
    }.items():
        with pytest.raises(UserError, match=match) as said:
            chain_from(**{**good, **change})
        assert "\n" not in str(said.value)


def test_pictures_made_elsewhere(untrained: Callable[[int], Chain], tmp_path: Path) -> None:
    folder = tmp_path / "painted"
    folder.mkdir()
    painted = picture(5, size=(128, 64))
    Image.fromarray(painted).save(folder / "a-0.png")
    (folder / "a-1.jpg").write_bytes(b"\xff\xd8 cut off")
    generator = Pictures(folder)
    chain = untrained(0)
    chain = replace(chain, generator=generator, info=chain.info.model_copy(update={"generator": generator.info}))
    seen = chain.look(picture(), key="a-0")
    expected = np.array(Image.fromarray(painted).resize(SIZE, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(seen["synthesis"], expected)
    for key, reason in (("a-1", "image"), ("a-2", "missing-picture"), ("", "missing-picture")):
        with pytest.raises(BadInput) as bad:
            chain.look(picture(), key=key)
        assert reason in bad.value.reason
    chain.save(tmp_path / "chain")
    with pytest.raises(UserError, match=r"pictures made elsewhere \(painted\)"):
        load_chain(tmp_path / "chain", CPU)
    before = generator.info
    assert before == Pictures(folder).info == PicturesInfo(folder="painted", sha256=before.sha256)
    Image.fromarray(painted[::-1].copy()).save(folder / "a-0.png")
    assert Pictures(folder).info != before
