"""Files of results: each whole or not at all, in a folder that is made where it is missing.

Also what reading one raises that is damaged: `BROKEN`.
"""

from __future__ import annotations

import io
import json
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from shards.errors import UserError
from shards.writer import write_atomically

BROKEN: Final = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, tokenize.TokenError),
)
"""What the readers of .npy, .npz and HDF5 raise, beside OSError, at a file that is damaged or none of theirs.

NumPy parses the header as Python (SyntaxError, TokenError) and takes its word for the size (MemoryError); `zipfile`
meets ciphers and methods that it does not know (RuntimeError). None of it is ours: `UserError` and `BadInput` pass.
"""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and make its folder.

    Raises:
        UserError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.") from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8; raises as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Write JSON without NaN and infinities; raises as `write_bytes`."""
    write_text(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write a compressed npz; raises as `write_bytes`."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())
