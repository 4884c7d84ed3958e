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


class SegmentationNetwork(nn.Module, ABC):
    """An image in, one logit per class and pixel out.

    Attributes:
        input_size: (width, height) that frames are resized to, in pixels.
        num_outputs: channels of the logits; the first 19 are trainIds, one more is a void class.
        stride: width and height of an input are multiples of it.
    """

    num_classes = NUM_CLASSES
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
