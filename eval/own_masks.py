"""Components of masks that a method hands in, instead of its score map cut at the official threshold.

    masks = judge_masks(paired, protocol, Path("masks"))
    judge_scores(paired, protocol, "mine", out=out, masks=masks)

A mask is a file a frame, named like it: an 8-bit PNG or an .npy of uint8; anything but 0 is an anomaly. A method that
segments objects need not have a threshold at all; AP and FPR95 are those of its score maps as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eval.class_maps import map_files, read_map
from eval.components import judge_set
from eval.metrics.component import ComponentMetrics, ComponentResult
from eval.overlap import judging_threads
from eval.protocols import Protocol
from eval.scoremaps import PairedSet, ScorePair, frame_key
from shards.errors import UserError
from shards.plural import plural

HANDED_IN: Final = "masks that were handed in"
"""What results.json says of where the predicted components come from."""


def judge_masks(
    paired: PairedSet, protocol: Protocol, folder: Path, *, workers: int | None = None
) -> ComponentResult:
    """Judge the components of a set's masks.

    Args:
        paired: the set, from `find_pairs`.
        protocol: with component metrics.
        folder: of the masks, in subfolders too.
        workers: frames that are worked on at a time; by default as many as this process has cores, 1 ... 8.

    Raises:
        UserError: the protocol judges no components; a mask is missing, broken or of another size than its label.
    """
    if protocol.components is None:
        raise UserError(
            f"The protocol {protocol.name} judges no components; --masks goes with smiyc-anomaly and the like."
        )
    files = map_files(folder, "mask", "--masks")
    missing = [pair.name for pair in paired.pairs if frame_key(pair.name) not in files]
    if missing:
        raise UserError(
            f"{len(missing)} of {plural(len(paired.pairs), 'frame')} {'has' if len(missing) == 1 else 'have'} no "
            f"mask in {folder}, the first {missing[0]}."
        )

    def add(metrics: ComponentMetrics, pair: ScorePair) -> None:
        metrics.add_mask(read_map(files[frame_key(pair.name)], "mask"), pair.label.read(), pair.name)

    threads = judging_threads(workers)
    return judge_set(protocol.components, paired.pairs, add, f"{paired.name}: masks", threads)


def told_of_masks(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside a score's metrics when its components are those of masks: no threshold made them."""
    told = {key: value for key, value in entry.items() if key != "component_threshold"}
    return told | {"component_convention": {**told["component_convention"], "prediction": HANDED_IN}}
