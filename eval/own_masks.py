"""Components of masks that a method hands in, instead of its score map cut at the official threshold.

    results = judge_scores(paired, protocol, "mine", out=out)
    add_components(results, paired, "mine", protocol, judge_masks(paired, protocol, Path("masks")))

A mask is a file a frame, named like it: an 8-bit PNG or an .npy of uint8; anything but 0 is an anomaly. A method that
segments objects need not have a threshold at all; AP and FPR95 are those of its score maps as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.class_maps import map_files, read_map
from eval.metrics.component import ComponentMetrics, ComponentResult, convention
from eval.protocols import Protocol
from eval.scoremaps import PairedSet, frame_key
from shards.errors import UserError
from shards.progress import track

_FIGURES = ("sIoU", "PPV", "F1_mean")


def judge_masks(paired: PairedSet, protocol: Protocol, folder: Path) -> ComponentResult:
    """Judge the components of a set's masks.

    Args:
        paired: the set, from `find_pairs`.
        protocol: with component metrics.
        folder: of the masks, in subfolders too.

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
            f"{len(missing)} of {len(paired.pairs)} frames have no mask in {folder}, the first {missing[0]}."
        )
    metrics = ComponentMetrics(protocol.components)
    for pair in track(paired.pairs, f"{paired.name}: masks", total=len(paired.pairs), unit="frames"):
        metrics.add_mask(read_map(files[frame_key(pair.name)], "mask"), pair.label.read(), pair.name)
    return metrics.result()


def add_components(
    results: Mapping[str, Any], paired: PairedSet, score: str, protocol: Protocol, found: ComponentResult
) -> None:
    """Put the figures into the content of a results.json, in the place of those at the official threshold."""
    assert protocol.components is not None
    entry = results["sets"][paired.name]["scores"][score]
    for figure in _FIGURES:
        entry["metrics"].pop(figure, None)
    entry["metrics"].update(found.metrics)
    entry.pop("component_threshold", None)
    entry["component_convention"] = convention(protocol.components) | {"prediction": "masks that were handed in"}
