r"""What a result was made from: a digest of the judged files, and the versions of what judged them.

The digest of a set is the sha256 over one line a file, in the order of the frames:

    FRAME \0 image | label | overlay | semantic \0 sha256 of the file's bytes \n

Folders and file names leave no trace in it, so the same frames in the same layout have the same digest anywhere.
Files are hashed right after they were decoded, while the system still holds them, in the thread that reads ahead.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eval.benchmarks.sets import Frame, ShardFrame
from shards.errors import UserError
from shards.layouts.cityscapes import CityscapesFrame

_SHARD_MEMBERS: Final = {"image": "image", "label": "anomaly", "semantic": "semantic"}
"""What a member is called here; pictures may have any extension."""


class InputDigest:
    """Collects the files of a set, frame by frame; the order counts."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, frame: str, files: Mapping[str, str]) -> None:
        """Add a frame.

        Args:
            frame: its name.
            files: the sha256 of each of its files by part, from `hashes`.
        """
        for part, found in files.items():
            self._sum.update(f"{frame}\0{part}\0{found}\n".encode())

    def hexdigest(self) -> str:
        """The sha256 of all that was added, 64 hexadecimal digits."""
        return self._sum.hexdigest()


def hashes(frame: Frame | CityscapesFrame) -> dict[str, str]:
    """The sha256 of each file of a frame by part: image, label and, where there is one, overlay or semantic map.

    Raises:
        UserError: a file cannot be read, or a shard lacks one.
    """
    if isinstance(frame, ShardFrame):
        members = {suffix.split(".")[0]: content for suffix, content in frame.shards.raw(frame.index).items()}
        missing = [name for name in _SHARD_MEMBERS.values() if name not in members]
        if missing:
            raise UserError(f"Sample {frame.name} cannot be read: it has no {missing[0]}.")
        return {part: hashlib.sha256(members[name]).hexdigest() for part, name in _SHARD_MEMBERS.items()}
    if isinstance(frame, CityscapesFrame):
        paths = {"image": frame.image, "label": frame.label_ids or frame.train_ids}
    else:
        paths = {"image": frame.image, "label": frame.label, "overlay": frame.overlay}
    return {part: _hash(path) for part, path in paths.items() if path is not None}


def versions() -> dict[str, str]:
    """Versions of anomsynth, Python, numpy and, where this process has loaded it, torch."""
    found = {"python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in ("anomsynth", "numpy")}
    # torch's own word says which build it is.
    return found | {name: str(sys.modules[name].__version__) for name in ("torch",) if name in sys.modules}


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
