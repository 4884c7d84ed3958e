"""`--layout`: what was recognised of a benchmark's folder, in plain lines, before anything is computed."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from eval.benchmarks.cityscapes import SegmentationSet
from eval.benchmarks.encoding import Encoding
from eval.benchmarks.finder import AnySet
from eval.benchmarks.sets import BenchmarkFrame, BenchmarkSet, ShardFrame, UnlabelledSet

_MEANING = {
    "official": "as published",
    "flat": "flat: images/ and labels_masks/",
    "shards": "shards built here",
}


def describe_layout(found: AnySet | UnlabelledSet) -> str:
    """What was recognised: layout, folders, encoding, counts and exclusions; opens no file.

    Args:
        found: one set, from `find_sets`, or one that a host judges.

    Returns:
        Several lines, the first with the set's name, the others indented; no newline at the end.
    """
    lines = [f"{found.name}: {found.benchmark}, {_kind(found)}"]
    lines += [f"  {what:<9} {value}" for what, value in _facts(found)]
    return "\n".join(lines)


def _kind(found: AnySet | UnlabelledSet) -> str:
    if isinstance(found, BenchmarkSet):
        return f"{found.layout} layout ({_MEANING[found.layout]})" if found.layout != "shards" else _MEANING["shards"]
    return "frames that its host judges" if isinstance(found, UnlabelledSet) else "official layout (as published)"


def _facts(found: AnySet | UnlabelledSet) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    if isinstance(found, UnlabelledSet):
        facts += [("images", _place(frame.image for frame in found.frames)), ("submitted", f"as {found.submission}")]
    elif isinstance(found, SegmentationSet):
        labels = [path for frame in found.frames if (path := frame.label_ids or frame.train_ids) is not None]
        facts += [("images", _place(frame.image for frame in found.frames)), ("labels", _place(labels))]
    else:
        facts += _of_frames(found.frames)
    published = found.published if isinstance(found, BenchmarkSet) else None
    whole = "" if published is None else f" of {published} in the published set"
    facts.append(("frames", f"{len(found.frames)}{whole}"))
    return facts + [("note", note) for note in found.notes]


def _of_frames(frames: Sequence[BenchmarkFrame | ShardFrame]) -> list[tuple[str, str]]:
    shards = [frame for frame in frames if isinstance(frame, ShardFrame)]
    if shards:
        return [("shards", str(shards[0].shards.folder))]
    files = [frame for frame in frames if isinstance(frame, BenchmarkFrame)]
    facts = [("images", _place(frame.image for frame in files))]
    overlays = [frame.overlay for frame in files if frame.overlay is not None]
    if overlays:
        facts.append(("overlays", _place(overlays)))
    facts += [
        ("labels", _place(frame.label for frame in files)),
        ("values", _values(frame.encoding for frame in files)),
    ]
    groups = Counter(frame.group for frame in files if frame.group)
    if groups:
        facts.append(("groups", ", ".join(f"{name} {count}" for name, count in sorted(groups.items()))))
    return facts


def _values(encodings: Iterable[Encoding]) -> str:
    return "; or ".join(dict.fromkeys(encoding.name for encoding in encodings))


def _place(files: Iterable[Path]) -> str:
    """The folder that all files lie below, and the first of them."""
    paths = list(files)
    if not paths:
        return "none"
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    return f"{folder} (such as {paths[0].relative_to(folder).as_posix()})"
