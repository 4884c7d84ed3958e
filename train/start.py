"""The segmenter that a command begins with: a run of our own, or a known network with weights from elsewhere."""

from __future__ import annotations

from pathlib import Path

from shards.errors import UserError
from train.checkpoint import WEIGHTS, NetworkInfo, StartInfo, fingerprint, load_checkpoint
from train.networks import SegmentationNetwork, build_segmenter, load_weights


def starting_segmenter(
    checkpoint: Path | None, segmenter: str | None, weights: Path | None
) -> tuple[SegmentationNetwork, NetworkInfo, StartInfo, list[str]]:
    """The network with its weights, how it is built, where its weights came from, and the data that they saw.

    Args:
        checkpoint: a finished RUN folder of a segmenter,
        segmenter: or a network's name,
        weights: with its weight file.

    Raises:
        UserError: not exactly one of the two ways, an unfinished run, or what `load_checkpoint` and `load_weights`
            raise.
    """
    if (checkpoint is None) == (segmenter is None and weights is None):
        raise UserError("Say where to start: either --checkpoint RUN, or --segmenter NAME with --weights FILE.")
    if checkpoint is not None:
        network, before = load_checkpoint(checkpoint)
        if not before.finished:
            raise UserError(
                f"The run in {checkpoint} is at step {before.step} of {before.steps}; finish it first: type its "
                "train command again."
            )
        folder = checkpoint.parent if checkpoint.is_file() else checkpoint
        start = StartInfo(kind="checkpoint", name=before.method, fingerprint=fingerprint(folder / WEIGHTS))
        return network, before.network, start, before.saw
    if segmenter is None or weights is None:
        raise UserError("--segmenter NAME and --weights FILE belong together; one of them is missing.")
    network = build_segmenter(segmenter)
    load_weights(network, weights)
    built = NetworkInfo(name=segmenter, options={"num_outputs": network.num_outputs})
    return network, built, StartInfo(kind="weights", name=weights.name, fingerprint=fingerprint(weights)), ["unknown"]
