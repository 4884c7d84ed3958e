"""Contact sheets: what is in a shard set, to be looked at before anybody trains on it."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from shards.errors import BadInput, UserError
from shards.labels import ANOMALY, IGNORE, semantic_colors
from shards.progress import track
from shards.reader import ShardSet
from shards.rng import generator
from shards.sample import Sample
from shards.writer import write_atomically

ANOMALY_COLOR = (255, 80, 30)
_CAPTION_HEIGHT = 34


@dataclass(frozen=True, slots=True)
class _Tile:
    """One sample, ready to be shown."""

    key: str
    caption: str
    views: tuple[UInt8[np.ndarray, "h w 3"], ...]
    meta: dict[str, Any]


def label_overlay(sample: Sample) -> UInt8[np.ndarray, "h w 3"]:
    """The image with its anomalies tinted and outlined and its ignored pixels darkened and hatched."""
    shown = sample.image.astype(np.float32)
    anomaly, ignore = sample.anomaly == ANOMALY, sample.anomaly == IGNORE
    shown[anomaly] = 0.55 * shown[anomaly] + 0.45 * np.array(ANOMALY_COLOR, np.float32)
    rows, columns = np.indices(sample.anomaly.shape)
    stripe = (rows + columns) // max(2, sample.anomaly.shape[0] // 64) % 2 == 0
    shown[ignore] *= 0.35
    shown[ignore & stripe] += 40
    overlay = np.clip(shown, 0, 255).astype(np.uint8)
    outlines, _ = cv2.findContours(anomaly.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(overlay, outlines, -1, (255, 255, 255), max(1, sample.anomaly.shape[0] // 256))
    return overlay


def contact_sheet(folder: Path, out: Path, *, limit: int = 24, seed: int = 0, width: int = 420) -> list[Path]:
    """Write OUT/contact-sheet.png and OUT/index.html: image, label overlay, semantic map and provenance.

    Args:
        folder: a shard set.
        out: folder for the two files; made when missing.
        limit: samples shown; a seeded choice where the set holds more.
        seed: of that choice.
        width: of one view in pixels.

    Returns:
        The files written.

    Raises:
        UserError: not a complete shard set, or no sample of it could be decoded.
    """
    shards = ShardSet(folder)
    chosen: Sequence[int] = range(len(shards))
    if len(shards) > limit:
        chosen = sorted(generator(seed, "inspect").choice(len(shards), limit, replace=False).tolist())
    tiles, broken = [], []
    for index in track(chosen, "Drawing", total=len(chosen), unit="samples"):
        try:
            tiles.append(_tile(shards[index], width))
        except BadInput as error:
            broken.append(f"{shards.keys[index]}: {error}")
    if not tiles:
        raise UserError(f"No sample of {folder} could be decoded: {'; '.join(broken[:3]) or 'it is empty'}.")
    out.mkdir(parents=True, exist_ok=True)
    files = [out / "contact-sheet.png", out / "index.html"]
    buffer = io.BytesIO()
    _sheet(tiles).save(buffer, "PNG")
    write_atomically(files[0], buffer.getvalue())
    write_atomically(files[1], _page(shards, tiles, broken).encode())
    return files


def _tile(sample: Sample, width: int) -> _Tile:
    height = max(1, round(width * sample.image.shape[0] / sample.image.shape[1]))
    views = (sample.image, label_overlay(sample), semantic_colors(sample.semantic))
    small = tuple(cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA) for view in views)
    objects = sample.meta.get("objects", [])
    names = ", ".join(str(item.get("category", "?")) for item in objects)
    share = 100 * float((sample.anomaly == ANOMALY).mean())
    frame = sample.meta.get("frame", {}).get("id", "")
    caption = f"{sample.key}   {frame}\n{names or 'no pasted object'}   anomaly {share:.2f} %"
    return _Tile(sample.key, caption, small, dict(sample.meta))


def _sheet(tiles: list[_Tile]) -> Image.Image:
    """Rows of image and overlay, two samples a row."""
    columns = 2 if len(tiles) > 1 else 1
    heights = [tile.views[0].shape[0] for tile in tiles]
    width, height, gap = tiles[0].views[0].shape[1], max(heights), 6
    cell = (2 * width + 3 * gap, height + _CAPTION_HEIGHT + gap)
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1] + gap), (24, 24, 28))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, tile in enumerate(tiles):
        left, top = (number % columns) * cell[0] + gap, (number // columns) * cell[1] + gap
        for place, view in enumerate(tile.views[:2]):
            sheet.paste(Image.fromarray(view), (left + place * (width + gap), top))
        draw.multiline_text((left, top + height + 2), tile.caption, (225, 225, 225), font, spacing=2)
    return sheet


def _page(shards: ShardSet, tiles: list[_Tile], broken: list[str]) -> str:
    manifest = shards.manifest
    cards = "\n".join(_card(tile) for tile in tiles)
    pixels = sum(manifest.pixels.values()) or 1
    shares = ", ".join(f"{name} {100 * count / pixels:.2f} %" for name, count in manifest.pixels.items())
    rejects = ", ".join(f"{reason} {count}" for reason, count in manifest.rejects.items()) or "none"
    trouble = "".join(f"<li>{html.escape(text)}</li>" for text in broken)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(manifest.recipe)}: contact sheet</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; }}
.grid {{ display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 640px), 1fr)); }}
figure {{ margin: 0; }} .views {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; }}
img {{ width: 100%; display: block; border-radius: 3px; }}
figcaption {{ white-space: pre-line; font-variant-numeric: tabular-nums; }}
details pre {{ overflow-x: auto; font-size: 12px; }} .key {{ color: rgb{ANOMALY_COLOR}; font-weight: 600; }}
</style>
<h1>{html.escape(manifest.recipe)}</h1>
<p>{len(shards)} samples in {len(manifest.shards)} shards, seed {manifest.seed}. Pixels: {html.escape(shares)}.
Rejected inputs: {html.escape(rejects)}.</p>
<p>Each row: the image; its anomaly labels (<span class="key">tinted and outlined: anomaly</span>, dark and striped:
ignored); its semantic labels in the Cityscapes colours (black: ignored).</p>
<ul>{trouble}</ul>
<div class="grid">
{cards}
</div></html>
"""


def _card(tile: _Tile) -> str:
    views = "".join(f'<img alt="" src="{_data_url(view)}">' for view in tile.views)
    meta = html.escape(json.dumps(tile.meta, indent=2, sort_keys=True))
    return (
        f'<figure><div class="views">{views}</div><figcaption>{html.escape(tile.caption)}</figcaption>'
        f"<details><summary>provenance</summary><pre>{meta}</pre></details></figure>"
    )


def _data_url(view: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(view).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
