"""What fitting an object to its frame costs, and the pictures of docs/mixing.md, from a toy world.

python benchmarks/mixing.py                       the table of costs
python benchmarks/mixing.py --pictures docs/pictures
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.mixing import Base, Change, mixed
from pipelines.occlusion import Hiders
from pipelines.recipe import Sources
from pipelines.recipes.anomalymix import AnomalyMix, AnomalyMixConfig
from pipelines.toy.world import draw_world
from shards.patches import Blend, Patch, fitted, lay

SIDE = 200
WAYS = (
    ("hard", Blend()),
    ("feather, sigma 1", Blend("feather", 1.0)),
    ("poisson", Blend("poisson")),
    ("style reinhard", Blend(match="reinhard")),
    ("style histogram", Blend(match="histogram")),
    ("sharpness frame", Blend(sharpness="frame")),
    ("noise frame", Blend(noise="frame", seed=1)),
)


def scene() -> tuple[np.ndarray, np.ndarray, Patch]:
    """A blurred, noisy frame of 2048x1024, trainIds, and a sharp, textured disc of 200 pixels."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.normal(0, 1, (1024, 2048, 3)).astype(np.float32), (0, 0), 6)
    frame = np.clip(110 + 40 * soft / soft.std() + rng.normal(0, 3, (1024, 2048, 1)), 0, 255).astype(np.uint8)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    mask = y**2 + x**2 < (SIDE / 2) ** 2
    texture = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, SIDE, 3)).astype(np.float32), (0, 0), 1)
    rgb = np.where(mask[..., None], np.clip(120 + 120 * texture, 0, 255), 0).astype(np.uint8)
    semantic = np.zeros((1024, 2048), np.uint8)
    for number in range(40):  # poles, persons and cars, over 5 % of the frame as on real ones
        kind, width = ((5, 12), (11, 40), (13, 120))[number % 3]
        top, left = int(rng.integers(300, 700)), int(rng.integers(1900))
        semantic[top : top + 120, left : left + width] = kind
    return frame, semantic, Patch(rgb, mask, 900, 500)


def blended(patch: Patch, blend: Blend) -> Patch:
    """The same object, fitted in another way."""
    return Patch.roomy(patch.rgb, patch.mask, patch.left, patch.top, blend)


def costs(rounds: int) -> None:
    """Print milliseconds for one object, and how many hard pastes that is: the least of many rounds over all ways."""
    cv2.setNumThreads(1)
    frame, semantic, patch = scene()
    image, anomaly, trained = frame.copy(), np.zeros(semantic.shape, np.uint8), semantic.copy()

    def laid(blend: Blend) -> None:
        lay(fitted(blended(patch, blend), frame), image, anomaly, trained)

    tasks = {name: partial(laid, blend) for name, blend in WAYS}
    tasks["occlusion, once a sample of 2048x1024"] = partial(Hiders.of, semantic)
    least = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            least[name] = min(least[name], 1000 * (time.perf_counter() - start))
    print("| way | ms | hard pastes |\n|---|--:|--:|")
    for name, took in least.items():
        print(f"| {name} | {took:.2f} | {took / least['hard']:.0f} |")


def poor(base: Base) -> Base:
    """The frame of a worse camera."""
    soft = cv2.GaussianBlur(base.image, (0, 0), 2.0).astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 7, (*soft.shape[:2], 1))
    return Base(np.clip(np.rint(soft + noise), 0, 255).astype(np.uint8), base.anomaly, base.semantic)


def open_recipe(world: Path, **fields: Any) -> AnomalyMix:
    config = AnomalyMixConfig(**{"min_area": 1000, "objects": (1, 1), "flip": 0.0, **fields})
    return AnomalyMix.open(config, Sources(world / "cityscapes", coco=world / "coco"))


def around(image: np.ndarray, box: Sequence[int], side: int) -> np.ndarray:
    """A square of a picture around a box."""
    x, y, w, h = box
    side = min(side, *image.shape[:2])
    top = min(max(0, y + h // 2 - side // 2), image.shape[0] - side)
    left = min(max(0, x + w // 2 - side // 2), image.shape[1] - side)
    return image[top : top + side, left : left + side]


def sheet(path: Path, tiles: Sequence[Sequence[np.ndarray]], names: Sequence[str], size: tuple[int, int]) -> None:
    """Tiles in rows under the names of their columns."""
    width, height = size
    canvas = Image.new("RGB", (len(names) * (width + 4) - 4, 22 + len(tiles) * (height + 4) - 4), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for column, name in enumerate(names):
        draw.text((column * (width + 4) + width // 2, 3), name, fill="black", font=font, anchor="ma")
        for row, line in enumerate(tiles):
            picture = Image.fromarray(line[column]).resize(size, Image.Resampling.LANCZOS)
            canvas.paste(picture, (column * (width + 4), 22 + row * (height + 4)))
    canvas.save(path, quality=76)
    print(f"{path}: {path.stat().st_size} bytes")


def blends(world: Path, out: Path, name: str, ways: Sequence[tuple[str, Blend]], worse: bool) -> None:
    """One object a row, one way a column."""
    recipe = open_recipe(world, placement="road", long_side=(0.3, 0.45))
    rows, shown = [], set[str]()
    for index in range(40):
        base = recipe.base(1, index)
        change = recipe.change(1, index, base)
        if not change.meta["objects"] or (thing := change.meta["objects"][0])["category"] in shown:
            continue
        if max(thing["box"][2:]) < 60 or len(rows) == 3:
            continue
        shown.add(thing["category"])
        frame = poor(base) if worse else base
        line = []
        for _, blend in ways:
            patches = tuple(blended(patch, blend) for patch in change.patches)
            image = mixed("k", frame, Change(change.meta, patches)).image
            line.append(around(image, thing["box"], int(1.4 * max(thing["box"][2:]))))
        rows.append(line)
    sheet(out / name, rows, [name for name, _ in ways], (190, 190))


def whole(
    world: Path, out: Path, name: str, ways: Sequence[tuple[str, dict[str, Any]]], indices: Sequence[int]
) -> None:
    """One frame a row, one configuration a column, outlines of the anomalies in yellow."""
    rows = []
    for index in indices:
        line = []
        for _, fields in ways:
            recipe = open_recipe(world, **fields)
            base = recipe.base(2, index)
            sample = mixed("k", base, recipe.change(2, index, base))
            found, _ = cv2.findContours(
                (sample.anomaly == 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
            )
            line.append(np.asarray(cv2.drawContours(sample.image.copy(), found, -1, (255, 230, 0), 2), np.uint8))
        rows.append(line)
    sheet(out / name, rows, [name for name, _ in ways], (420, 210))


def hidden(world: Path, out: Path, name: str) -> None:
    """Objects that something hides in part, beside the same ones in front of everything."""
    fields: dict[str, Any] = {"placement": "road", "long_side": (0.2, 0.6), "max_tries": 1}
    pair = [open_recipe(world, **fields, occlusion=occlusion) for occlusion in (False, True)]
    rows: list[list[np.ndarray]] = []
    frames = set[str]()
    for index in range(400):
        base = pair[0].base(3, index)
        changes = [recipe.change(3, index, base) for recipe in pair]
        things = [change.meta["objects"] for change in changes]
        if not all(things) or things[1][0]["occluded"] < 0.1 * things[0][0]["pixels"]:
            continue
        box, frame = things[0][0]["box"], changes[0].meta["frame"]["id"]
        if max(box[2:]) < 70 or frame in frames:
            continue
        frames.add(frame)
        samples = [mixed("k", base, change) for change in changes]
        side = int(1.8 * max(box[2:]))
        labels = np.repeat((samples[1].anomaly == 1)[..., None] * np.uint8(255), 3, axis=2)
        rows.append([around(image, box, side) for image in (samples[0].image, samples[1].image, labels)])
        if len(rows) == 4:
            break
    tiles = [[*first, *second] for first, second in zip(rows[::2], rows[1::2], strict=True)]
    sheet(out / name, tiles, ["occlusion=false", "occlusion=true", "its label"] * 2, (190, 190))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, help="draw the pictures into this folder instead of measuring")
    parser.add_argument("--world", type=Path, help="a toy world of 1024x512 that is there already")
    parser.add_argument("--rounds", type=int, default=100, help="how often everything is measured")
    given = parser.parse_args()
    if given.pictures is None:
        costs(given.rounds)
        return
    given.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        world = given.world
        if world is None:
            world = Path(folder) / "world"
            draw_world(world, frames=12, size=(1024, 512), seed=0)
        draw(world, given.pictures)


def draw(world: Path, out: Path) -> None:
    edges = [WAYS[0], ("feather, sigma 3", Blend("feather", 3.0)), WAYS[2], WAYS[3], WAYS[4]]
    blends(world, out, "mixing-edges-and-colours.jpg", edges, worse=False)
    both = ("both, feather", Blend("feather", 2.0, "none", "frame", "frame", 1))
    blends(world, out, "mixing-sharpness-and-noise.jpg", [WAYS[0], *WAYS[5:], both], worse=True)
    many = {"objects": (6, 6)}
    places: list[tuple[str, dict[str, Any]]] = [
        ("placement=uniform", many),
        ("placement=road", {**many, "placement": "road"}),
        ("road, perspective=false", {**many, "placement": "road", "perspective": False}),
    ]
    whole(world, out, "mixing-placement.jpg", places, (0, 1))
    hidden(world, out, "mixing-occlusion.jpg")


if __name__ == "__main__":
    main()
