"""A network as `eval` sees it: one image in, score maps and trainIds at the image's own size out.

The protocol: Pillow's bilinear resize to the network's input size, RGB / 255, logits (the mean over several looks:
`views.py`) upsampled bilinearly to the size of the image, then the score. Interpolating logits before the score is
what the papers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from eval.predictor import Prediction
from eval.scores import score_maps, score_names
from shards.errors import UserError
from shards.resize import resize_seen
from train.chain import load_chain
from train.chain_info import FOLDER
from train.checkpoint import WEIGHTS, fingerprint, load_run
from train.comparing import ComparingPredictor
from train.devices import choose_device, memory_advice
from train.networks import SegmentationNetwork, build_segmenter, load_weights
from train.networks.dissimilarity import DissimilarityNetwork
from train.views import Views, view_logits


class NetworkPredictor:
    """Implements `eval.predictor.Predictor`.

    Args:
        network: is moved to the device and put in eval mode.
        input_size: (width, height) that images are resized to; the network's own without it.
        device: where it runs.
        describe: what results.json shall say of it.
        views: how often and in which pieces the network looks at an image.

    Raises:
        UserError: the network cannot take that input size, or such pieces of it.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        *,
        input_size: tuple[int, int] | None = None,
        device: torch.device | None = None,
        describe: Mapping[str, Any] | None = None,
        views: Views | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device).eval()
        self._views = views or Views()
        self._size = input_size or network.input_size
        if self._views.tile is None:
            network.check_input(self._size)
        self._views.check(network, self._size)
        self._describe = {**(describe or {}), "input_size": list(self._size), **self._views.describe(self._device)}

    @property
    def describe(self) -> Mapping[str, Any]:
        """Network, weights or run, and input size."""
        return self._describe

    @property
    def score_names(self) -> tuple[str, ...]:
        """All post-hoc scores; `void` only where the network has a void output."""
        return score_names(self._network.num_outputs)

    @memory_advice("give a smaller --size, or --device cpu where the GPU is full")
    @torch.inference_mode()
    def predict(
        self, image: UInt8[np.ndarray, "h w 3"], scores: Sequence[str], *, semantic: bool = False
    ) -> Prediction:
        """Predict one RGB image (H, W, 3) uint8; the prediction holds exactly what is asked for.

        Raises:
            UserError: memory is exhausted.
        """
        pixels = torch.from_numpy(resize_seen(image, self._size)).to(self._device)
        logits = view_logits(self._network, pixels.movedim(-1, 0).float() / 255, self._views)
        maps = score_maps(scores, logits, image.shape[:2], semantic=semantic)
        return Prediction(
            scores={name: score.cpu().numpy() for name, score in maps.scores.items()},
            semantic=None if maps.semantic is None else maps.semantic.cpu().numpy(),
        )


def predictor_from(
    *,
    checkpoint: Path | None = None,
    segmenter: str | None = None,
    weights: Path | None = None,
    input_size: tuple[int, int] | None = None,
    device: str = "auto",
    views: Views | None = None,
) -> NetworkPredictor | ComparingPredictor:
    """The predictor that the words of a command describe.

    Args:
        checkpoint: a RUN folder; its input size is the default.
        segmenter: or a network's name, with `weights`.
        weights: its weight file.
        input_size: (width, height) instead of the network's own.
        device: auto, cpu or cuda.
        views: how often and in which pieces the network looks at an image.

    Raises:
        UserError: not exactly one of the two ways, an input size that the network cannot take, or what
            `load_checkpoint` and `load_weights` raise.
    """
    if (checkpoint is None) == (segmenter is None and weights is None):
        raise UserError("Give either --checkpoint RUN, or --segmenter NAME with --weights FILE.")
    where = choose_device(device)
    if checkpoint is not None:
        network, info = load_run(checkpoint)
        run = (checkpoint.parent if checkpoint.is_file() else checkpoint).resolve()
        describe: dict[str, Any] = {
            "network": info.network.name,
            "method": info.method,
            "checkpoint": run.name,
            "checkpoint_sha256": fingerprint(run / WEIGHTS),
            "step": info.step,
            "saw": info.saw,
        }
        if isinstance(network, DissimilarityNetwork):
            if input_size is not None or views not in (None, Views()):
                raise UserError(
                    f"{run.name} compares images and resyntheses of {info.input_size[0]}x{info.input_size[1]}: "
                    "--size, --flip, --tile, --batch and --precision are of segmenters; leave them out."
                )
            describe |= {name: info.network.options[name] for name in ("features", "width")}
            return ComparingPredictor(network, load_chain(run / FOLDER, where), describe=describe)
        if not isinstance(network, SegmentationNetwork):
            raise UserError(f"{run} holds a run of `train {info.method}`, which scores no image.")
        size = input_size or info.input_size
    else:
        if segmenter is None or weights is None:
            raise UserError("--segmenter NAME and --weights FILE belong together; one of them is missing.")
        network = build_segmenter(segmenter)
        load_weights(network, weights)
        describe = {
            "network": segmenter,
            "method": "none",
            "weights": weights.name,
            "weights_sha256": fingerprint(weights),
            "saw": ["unknown"],
        }
        size = input_size or network.input_size
    return NetworkPredictor(network, input_size=size, device=where, describe=describe, views=views)
