"""What every segmentation network of the project offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from shards.errors import UserError
from shards.labels import NUM_CLASSES

Part = Literal["head", "decoder", "all"]
"""Which weights learn: the last classifier, the decoder with it, or everything."""


class Encoder(nn.Module, ABC):
    """The half of a segmenter that reads the image.

    Attributes:
        channels: of its maps, from the finest to the coarsest.
        strides: pixels of the input to one of each map; they begin 2, 4, 8.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @abstractmethod
    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """The output of every stage for RGB images in 0..1: (n, channels[i], h / strides[i], w / strides[i])."""

    def keep_three(self) -> None:
        """Take out the stages behind 1/8, for a copy that is only asked for the first three maps."""


class SegmentationNetwork(nn.Module, ABC):
    """An image in, one logit per class and pixel out.

    Attributes:
        encoder: its first half; every weight that `features` needs lies in it.
        input_size: (width, height) that frames are resized to, in pixels.
        num_outputs: channels of the logits; the first 19 are trainIds, one more is a void class.
        stride: width and height of an input are multiples of it.
    """

    num_classes = NUM_CLASSES
    encoder: Encoder
    input_size: tuple[int, int]
    num_outputs: int
    stride: int

    @property
    def has_void(self) -> bool:
        """Whether output 19 is a void class."""
        return self.num_outputs > self.num_classes

    @abstractmethod
    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c h w"]:
        """Logits of RGB images in 0..1."""

    def features(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """What the encoder makes of RGB images in 0..1: its stages at 1/2, 1/4 and 1/8 of the input, finest first.

        Each is (n, c, h / s, w / s) with c of `encoder.channels` and s of 2, 4, 8, behind its activation. Coarser
        stages, where a network has some, are left out: other networks read these maps side by side.
        """
        maps: tuple[Tensor, ...] = self.encoder(images)
        return maps[:3]

    @abstractmethod
    def part(self, which: Part) -> nn.Module:
        """The module that holds the weights called `which`."""

    def check_input(self, size: tuple[int, int]) -> tuple[int, int]:
        """The input size (width, height) as it came, when the network can take it.

        Raises:
            UserError: it is not a multiple of `stride`.
        """
        width, height = size
        if min(size) < self.stride or width % self.stride or height % self.stride:
            raise UserError(
                f"{type(self).__name__}'s input width and height are multiples of {self.stride}, "
                f"got {width}x{height}."
            )
        return width, height
