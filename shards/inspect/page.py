"""The contact sheet as one picture and as one page that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from shards.inspect.choice import Filters
from shards.inspect.views import ANOMALY_COLOR, Tile
from shards.manifest import Manifest
from shards.plural import plural
from shards.sample import EXTRAS

_CAPTION_HEIGHT = 34


def sheet(tiles: Sequence[Tile]) -> bytes:
    """Before and after of each sample, two samples a row, as PNG; of enriched ones what is compared, one a row."""
    shown = [[*tile.views[:2], *(view for view in tile.views[2:] if view[0] in EXTRAS)] for tile in tiles]
    most = max(map(len, shown))
    columns = 2 if len(tiles) > 1 and most == 2 else 1
    width, height, gap = shown[0][0][1].shape[1], max(views[0][1].shape[0] for views in shown), 6
    cell = (most * (width + gap) + gap, height + _CAPTION_HEIGHT + gap)
    rows = -(-len(tiles) // columns)
    drawn = Image.new("RGB", (columns * cell[0], rows * cell[1] + gap), (24, 24, 28))
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(12)
    for number, (tile, views) in enumerate(zip(tiles, shown, strict=True)):
        left, top = (number % columns) * cell[0] + gap, (number // columns) * cell[1] + gap
        for place, (name, view) in enumerate(views):
            drawn.paste(Image.fromarray(view), (left + place * (width + gap), top))
            if place > 1:
                draw.text((left + place * (width + gap), top + height + 2), name, (225, 225, 225), font)
        draw.multiline_text((left, top + height + 2), tile.caption, (225, 225, 225), font, spacing=2)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def page(manifest: Manifest, filters: Filters, passing: int, tiles: Sequence[Tile], broken: Sequence[str]) -> str:
    """A page with every view and the provenance of each sample; pictures are part of it."""
    pixels = sum(manifest.pixels.values()) or 1
    shares = ", ".join(f"{name} {100 * count / pixels:.2f} %" for name, count in manifest.pixels.items())
    rejects = ", ".join(f"{reason} {count}" for reason, count in manifest.rejects.items()) or "none"
    items = "".join(f"<li>{html.escape(text)}</li>" for text in broken)
    trouble = f"<ul>{items}</ul>\n" if items else ""
    said = filters.describe()
    shown = f"Shown: {len(tiles)} of {plural(passing, 'sample')}{f' with {said}' if said else ''}."
    cards = "\n".join(map(_card, tiles))
    names = list(dict.fromkeys(name for tile in tiles for name, _ in tile.views))
    columns = 4 if "before" in names else 3
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(manifest.recipe)}: contact sheet</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1400px; padding: 0 1rem; }}
.grid {{ display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 640px), 1fr)); }}
figure {{ margin: 0; }} .views {{ display: grid; grid-template-columns: repeat({columns}, 1fr); gap: 4px; }}
img {{ width: 100%; display: block; border-radius: 3px; }}
figcaption {{ white-space: pre-line; font-variant-numeric: tabular-nums; }}
details pre {{ overflow-x: auto; font-size: 12px; }} .key {{ color: rgb{ANOMALY_COLOR}; font-weight: 600; }}
</style>
<h1>{html.escape(manifest.recipe)}</h1>
<p>{plural(manifest.samples, "sample")} in {plural(len(manifest.shards), "shard")}, seed {manifest.seed}.
Pixels: {html.escape(shares)}. Rejected inputs: {html.escape(rejects)}. {html.escape(shown)}</p>
<p>Line by line: {_legend(names)}.</p>
{trouble}<div class="grid">
{cards}
</div></html>
"""


def _legend(names: Sequence[str]) -> str:
    words = {
        "before": "the frame as it was",
        "after": "the sample with its anomalies outlined",
        "image": "the sample",
        "labels": 'its anomaly labels (<span class="key">tinted and outlined: anomaly</span>, dark stripes: ignored)',
        "semantic": "its semantic labels in the Cityscapes colours (black: ignored)",
        "predicted": "what the segmenter says, wrong on purpose where labels were swapped",
        "synthesis": "what the generator paints from that",
        "entropy": "how unsure the segmenter is (white: most)",
        "distance": "how little its best class leads (white: least)",
        "perceptual": "how far photograph and painting differ (white: most)",
        "swapped": "the wrong names of swapped instances",
        "close": "its smallest anomaly close by",
    }
    return "; ".join(words.get(name, name) for name in names)


def _card(tile: Tile) -> str:
    views = "".join(f'<img alt="{name}" src="{_data_url(view)}">' for name, view in tile.views)
    meta = html.escape(json.dumps(dict(tile.meta), indent=2, sort_keys=True))
    return (
        f'<figure><div class="views">{views}</div><figcaption>{html.escape(tile.caption)}</figcaption>'
        f"<details><summary>provenance</summary><pre>{meta}</pre></details></figure>"
    )


def _data_url(view: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(view).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
