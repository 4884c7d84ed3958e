"""anomsynth: synthesise, stream, train and judge, for road-scene anomaly segmentation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

__version__ = "0.1.0"


def _refuse_strangers() -> None:
    """Notice a stranger's `train.py`, `eval/` ... that hides a package of ours.

    The names are plain words, and `python -m anomsynth` or PYTHONPATH put the working folder first. The console
    script does not, so the sentence points there.
    """
    home = Path(__file__).resolve().parent.parent
    for name in ("pipelines", "train", "eval", "shards"):
        found = importlib.util.find_spec(name)
        origin = Path(found.origin).resolve() if found and found.origin else None
        if origin is None or origin.parent != home / name:
            raise ImportError(
                f"anomsynth needs its own package {name!r} from {home}, but Python finds {origin or 'none'}. "
                f"Start it with the `anomsynth` command, or with `python -P -m anomsynth` in another folder."
            )


_refuse_strangers()
