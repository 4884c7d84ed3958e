"""Shards that a checkpoint is judged on, though it was trained on them, or on frames of the same split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.benchmarks import AnySet


def told_of_training(sets: Sequence[AnySet], checkpoint: Path | None) -> list[AnySet]:
    """The sets; those of shards with a note where the checkpoint may know them.

    Shards are the same where their manifests are, byte for byte. Other shards made of frames of a split that the
    weights have seen are told, too: their objects may be new, their streets are not.

    Args:
        sets: what is to be judged.
        checkpoint: RUN folder, or a file in it; None for weights from elsewhere.

    Raises:
        UserError: the folder holds no whole checkpoint.
    """
    if checkpoint is None or not any(_folder(found) for found in sets):
        return list(sets)
    from dataclasses import replace

    from shards.manifest import MANIFEST
    from train.checkpoint import fingerprint, read_info
    from train.run import frames_of

    info = read_info(checkpoint)
    trained = {shards.fingerprint for shards in info.shards}
    told: list[AnySet] = []
    for found in sets:
        folder = _folder(found)
        note = ""
        if folder is not None:
            seen = sorted((frames_of(folder) & set(info.saw)) - {"unknown"})
            if fingerprint(folder / MANIFEST) in trained:
                note = "The checkpoint was trained on these very shards: these figures are not of held-out data."
            elif seen:
                note = (
                    f"The checkpoint was trained on frames of {', '.join(seen)}, of which these shards are made: "
                    "these figures may not be of held-out data."
                )
        told.append(replace(found, notes=(*found.notes, note)) if note else found)
    return told


def _folder(found: AnySet) -> Path | None:
    """Of the shard set that is judged; None for anything else."""
    from eval.benchmarks.sets import ShardFrame

    frame = next(iter(found.frames), None)
    return frame.shards.folder if isinstance(frame, ShardFrame) else None
