"""README.md: the dataset card that lies beside the tars; GitHub and Hugging Face show it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

from shards.delta import LAYOUT
from shards.documents.licences import CITYSCAPES_LICENCE, licence_table
from shards.documents.statistics import PIXEL_EDGES, SHARE_EDGES, Statistics, statistics
from shards.layouts.licences import Licence, LicenceTerms
from shards.manifest import REJECTS, SAMPLES, Manifest
from shards.plural import plural
from shards.rows import Row

PLACEMENT: Final = "placement.png"
LICENCES: Final = "licences.jsonl"
_BAR: Final = 30
_CATEGORIES_SHOWN: Final = 40
_WHOLE: Final = (
    "Made by `anomsynth`, reproducible to the byte. "
    "Anomaly maps hold 0 = known, 1 = anomaly, 255 = ignore; semantic maps hold Cityscapes trainIds and 255 = ignore."
)
_DELTA: Final = (
    "A delta set, made by `anomsynth`, reproducible to the byte. Of each sample it holds what was pasted and where "
    "(`KEY.patches.png`, `KEY.masks.png`, `KEY.json`), and of the frame its name and a checksum, but no pixel."
)
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest, rows: Sequence[Row], *, aspect: float) -> str:
    """Write the card.

    Args:
        manifest: of the set.
        rows: of samples.jsonl.
        aspect: width by height of the pictures.

    Returns:
        Markdown behind a YAML header; no time, host or path, so that equal sets have equal cards.
    """
    counts = statistics(rows, aspect)
    parts = [
        _header(manifest),
        f"# {manifest.recipe}: {plural(manifest.samples, 'road scene')} with anomaly labels",
        _DELTA if _is_delta(manifest) else _WHOLE,
        _overview(manifest, counts),
        *(_objects(counts) if counts.objects else ()),
        _rejects(manifest),
        _licences(manifest, rows),
        _loading(manifest),
        _rebuilding(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _header(manifest: Manifest) -> str:
    size = next((word for limit, word in _SIZES if manifest.samples < limit), "1M<n<10M")
    if manifest.samples >= 10_000_000:
        size = "10M<n<100M"
    split = str(manifest.sources.get("cityscapes", {}).get("split", "train"))
    lines = [
        "---",
        f"pretty_name: {json.dumps(f'{manifest.recipe}, seed {manifest.seed}')}",
        "license: other",
        "license_name: licences-of-the-sources",
        "license_link: README.md#licences",
        "task_categories:",
        "- image-segmentation",
        "tags:",
        "- anomaly-segmentation",
        "- out-of-distribution-detection",
        "- autonomous-driving",
        "- webdataset",
        "size_categories:",
        f"- {size}",
        "configs:",
        "- config_name: default",
        "  data_files:",
        f"  - split: {split if re.fullmatch('[a-z_]+', split) else 'train'}",
        '    path: "*.tar"',
        "---",
    ]
    return "\n".join(lines)


def _overview(manifest: Manifest, counts: Statistics) -> str:
    total = sum(manifest.pixels.values()) or 1
    size = sum(shard.bytes for shard in manifest.shards)
    rows = [
        ("samples", f"{manifest.samples:,} of {manifest.count:,} asked for"),
        ("samples with pasted objects", f"{counts.mixed:,}"),
        ("pasted objects", f"{counts.objects:,}"),
        ("shards", f"{len(manifest.shards):,}"),
        ("bytes", f"{size:,}"),
        *((f"pixels: {name}", f"{count:,} ({100 * count / total:.3f} %)") for name, count in manifest.pixels.items()),
        *((f"source: {_cell(name)}", _source(source)) for name, source in sorted(manifest.sources.items())),
    ]
    return "## What it holds\n\n" + _table(("what", "how much"), rows)


def _source(source: dict[str, object]) -> str:
    words = [f"{_cell(str(source[word]))}" for word in ("dataset", "split") if word in source]
    if not words and "sha256" in source:  # another set
        words = [f"the set whose manifest.json has the SHA-256 {_cell(str(source['sha256'])[:12])}..."]
    files = source.get("files")
    return ", ".join([*words, *([f"{files:,} files"] if isinstance(files, int) else [])])


def _objects(counts: Statistics) -> Iterable[str]:
    """Histograms and the placement map."""
    shown, others = counts.categories[:_CATEGORIES_SHOWN], counts.categories[_CATEGORIES_SHOWN:]
    entries = [(_cell(name), count) for name, count in shown]
    if others:
        entries.append((f"{len(others)} more", sum(count for _, count in others)))
    yield "## Categories of the anomalies\n\n" + _histogram("category", entries)
    shares = [f"{100 * edge:g} %" for edge in SHARE_EDGES]
    pixels = [f"{edge:,}" for edge in PIXEL_EDGES]
    yield (
        "## Sizes\n\nLonger side of an object's visible part, as a share of the frame's height:\n\n"
        + _histogram("longer side", zip(_bins(shares), counts.long_sides, strict=True))
        + "\n\nVisible pixels of an object:\n\n"
        + _histogram("pixels", zip(_bins(pixels), counts.pixels, strict=True))
    )
    yield (
        "## Places\n\nIn how many of the samples an object's box covers a place of the frame:\n\n"
        f"![Heat map of the places of objects in the frame]({PLACEMENT})"
    )


def _bins(edges: Sequence[str]) -> list[str]:
    """Names of bins, from `below 2 %` over `2 % to 4 %` to `64 % and more`."""
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and more"]


def _rejects(manifest: Manifest) -> str:
    if not manifest.rejects:
        return "## What was left out\n\nNothing: every input could be used."
    table = _table(("reason", "inputs"), [(_cell(name), f"{count:,}") for name, count in manifest.rejects.items()])
    return f"## What was left out\n\nEach input with its reason stands in `{REJECTS}`.\n\n{table}"


def _licences(manifest: Manifest, rows: Sequence[Row]) -> str:
    """Whose pictures these are, and what therefore must not be done with the set."""
    found = licence_table(rows)
    parts = ["## Licences", "The pictures are other people's; each part keeps the terms of its source."]
    if found:
        table = [
            (_link(licence), f"{pictures:,}", f"{objects:,}", _terms(licence)) for licence, pictures, objects in found
        ]
        parts.append(
            f"Pictures that objects were cut out of; `{LICENCES}` lists every one with its licence:\n\n"
            + _table(("licence", "pictures", "objects", "terms"), table)
        )
    parts.append("### What remains restricted\n\n" + "\n".join(_restrictions(manifest, found)))
    return "\n\n".join(parts)


def _restrictions(manifest: Manifest, found: Sequence[tuple[Licence, int, int]]) -> Iterable[str]:
    street = any(source.get("dataset") == "cityscapes" for source in manifest.sources.values())
    if street and _is_delta(manifest):
        yield (
            f"- **No pixel of Cityscapes is in this set.** Whoever has [Cityscapes]({CITYSCAPES_LICENCE}) makes the "
            "samples with `anomsynth materialize`; what comes out is for non-commercial use only and may not be "
            "passed on."
        )
    elif street:
        yield (
            f"- **Every frame comes from Cityscapes**: [non-commercial use only]({CITYSCAPES_LICENCE}), and neither "
            "the frames nor pictures made from them may be passed on."
        )
    rules: tuple[tuple[str, Callable[[LicenceTerms], bool]], ...] = (
        ("is under a NonCommercial licence", lambda terms: terms.known and not terms.commercial),
        (
            "is under a NoDerivs licence: altered copies may not be passed on",
            lambda terms: terms.known and not terms.derivatives,
        ),
        (
            "asks that altered copies be passed on under the same licence (ShareAlike)",
            lambda terms: terms.share_alike,
        ),
        ("names no known licence: nothing is permitted but private study", lambda terms: not terms.known),
    )
    for words, chosen in rules:
        pictures = sum(number for licence, number, _ in found if chosen(licence.terms))
        if pictures:
            many = words.replace("is ", "are ", 1).replace("asks", "ask", 1).replace("names", "name", 1)
            yield f"- {plural(pictures, f'picture {words}', f'pictures {many}')}."
    if found:
        yield "- Almost every licence asks for credit to the pictures' authors."
    elif not street:
        yield "- Nothing that the sources' records say; ask whoever made the frames."


def _loading(manifest: Manifest) -> str:
    if _is_delta(manifest):
        return _LOADING_DELTA
    names = [shard.name for shard in manifest.shards]
    tars = names[0] if len(names) == 1 else _braces(names)
    return f"""## Loading it

```python
from pathlib import Path
from shards.reader import ShardSet        # anomsynth: random access

sample = ShardSet(Path("."))[0]           # sample.image, sample.anomaly, sample.semantic, sample.meta
```

For training, `shards.stream` shuffles, resumes exactly and splits over ranks; other tools read the same tars:

```python
import webdataset

samples = webdataset.WebDataset("{tars}", shardshuffle=False).decode("pil")
```

```python
import datasets

samples = datasets.load_dataset("webdataset", data_files="*.tar")
```

```python
import os

os.environ["CROISSANT_CACHE"] = "cache-of-this-set"    # mlcroissant keeps what it unpacks under the tars' names
import mlcroissant

samples = mlcroissant.Dataset("croissant.json").records("samples")
```

`{SAMPLES}` has a row a sample: its frame, and every object with category, place, scale and licence."""


_LOADING_DELTA: Final = f"""## Loading it

```console
$ anomsynth materialize . --cityscapes CITYSCAPES --out mix
```

gives the shard set that a direct build gives, byte for byte. Or read it as if that were done, over a set of plain
frames (`anomsynth build cityscapes --cityscapes CITYSCAPES --out frames`, with the same `--size`):

```python
from pathlib import Path
from shards.delta import DeltaSet

sample = DeltaSet(Path("."), Path("frames"))[0]    # sample.image, sample.anomaly, sample.semantic, sample.meta
```

`{SAMPLES}` has a row a sample: its frame, and every object with category, place, scale and licence."""


def _braces(names: Sequence[str]) -> str:
    """mix-{000000..000012}.tar where the names are numbered without a gap, else all of them."""
    parts = [re.fullmatch(r"(.*-)([0-9]+)\.tar", name) for name in names]
    numbers = [match.group(2) for match in parts if match]
    stems = {match.group(1) for match in parts if match}
    if len(numbers) != len(names) or len(stems) != 1 or int(numbers[-1]) - int(numbers[0]) != len(names) - 1:
        return "{" + ",".join(names) + "}"
    return f"{stems.pop()}{{{numbers[0]}..{numbers[-1]}}}.tar"


def _rebuilding(manifest: Manifest) -> str:
    return _enriching(manifest) if "shards" in manifest.sources else _building(manifest)


def _enriching(manifest: Manifest) -> str:
    """Of a set that was made of another one, whose card tells how that one was built."""
    source = manifest.sources["shards"].get("sha256", "")
    width, height = manifest.config.get("size", ("W", "H"))
    chain = manifest.config.get("chain", {})
    kind = chain.get("generator", {}).get("kind", "spade")
    painter = {"diffusers": "--diffusers PIPELINE", "pictures": "--pictures PICTURES"}.get(
        kind, "--generator GENERATOR"
    )
    words = [f"anomsynth enrich SHARDS --checkpoint SEGMENTER {painter}", f"--size {width}x{height}"]
    words += [f"--features {features} --vgg VGG" for features in [chain.get("features")] if features == "vgg19"]
    words += [f"--normalise {how}" for how in [chain.get("normalise")] if how not in (None, "max")]
    return f"""## Making it again

Each sample of another set was enriched with what a segmenter and a generator make of it; `chain/chain.json` describes
both, and `chain/` holds their weights. With that set (the SHA-256 of its manifest.json is `{source}`), the same two
networks and the same versions ({_versions(manifest)}) the same kind of processor gives the same bytes:

```console
$ {" ".join(words)} --out enriched
```

(or `--segmenter NAME --weights FILE` in place of `--checkpoint`). Beside each picture, at the same size, lie

| member | what it holds |
| --- | --- |
| `KEY.predicted.png` | what the segmenter says: trainIds 0 to 18; wrong ones on purpose where labels were swapped |
| `KEY.synthesis.png` | RGB, painted from that by the generator |
| `KEY.entropy.png` | softmax entropy of the segmenter, 0 to 255 |
| `KEY.distance.png` | how little its most probable class leads the second one, 0 to 255 |
| `KEY.perceptual.png` | how far picture and synthesis differ in the features of a network, 0 to 255 |"""


def _versions(manifest: Manifest) -> str:
    return ", ".join(f"{_cell(name)} {_cell(version)}" for name, version in manifest.tool.items())


def _building(manifest: Manifest) -> str:
    sources = manifest.sources
    words = [f"anomsynth build {manifest.recipe}"]
    for name, option in (("coco", "--coco-split"), ("cityscapes", "--split")):
        if name in sources:
            words.append(f"--{name} {name.upper()} {option} {sources[name].get('split', 'train')}")
    words.append(
        f"--count {manifest.count} --seed {manifest.seed} --samples-per-shard {manifest.samples_per_shard} "
        f"--config config.json{_packed(manifest)} --out mix"
    )
    command = " \\\n    ".join(words)
    return f"""## Building it again

With the same sources and the same versions ({_versions(manifest)}) this gives the same bytes:

```console
$ {command}
```

where `config.json` holds

```json
{json.dumps(manifest.config, indent=2, sort_keys=True)}
```

`anomsynth verify . --cityscapes CITYSCAPES --coco COCO --rebuild 10` makes some samples again and compares."""


def _packed(manifest: Manifest) -> str:
    """The options that say how samples are stored, where they are not the default."""
    image_format = manifest.packing.get("image_format", "png")
    words = [" --layout delta"] if _is_delta(manifest) else []
    if image_format != "png":
        words.append(f" --image-format {image_format}")
    if image_format == "jpeg":
        words.append(f" --quality {manifest.packing.get('quality')}")
    return "".join(words)


def _is_delta(manifest: Manifest) -> bool:
    return manifest.packing.get("layout") == LAYOUT


def _histogram(what: str, entries: Iterable[tuple[str, int]]) -> str:
    """A table with bars."""
    counted = list(entries)
    greatest = max(count for _, count in counted)
    total = sum(count for _, count in counted)
    rows = [
        (name, f"{count:,}", f"{100 * count / total:.1f} %", "█" * max(bool(count), round(_BAR * count / greatest)))
        for name, count in counted
    ]
    return _table((what, "objects", "share", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; all but the first and the last of three or more columns are right-aligned numbers."""
    marks = ["---" if place in (0, len(head) - 1) else "---:" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, marks, *rows))


def _terms(licence: Licence) -> str:
    terms = licence.terms
    if not terms.known:
        return "unknown"
    said = [
        *([] if terms.commercial else ["non-commercial"]),
        *([] if terms.derivatives else ["no derivatives"]),
        *(["share alike"] if terms.share_alike else []),
    ]
    return ", ".join(said) or "free use"


def _link(licence: Licence) -> str:
    name = _cell(licence.name or licence.url or "none named")
    return f"[{name}]({licence.url})" if re.fullmatch(r"https?://[^\s()<>|]+", licence.url) else name


def _cell(text: str) -> str:
    """Words of other people, safe in a table of Markdown."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", flat)
