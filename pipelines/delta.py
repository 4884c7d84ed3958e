"""From a recipe to what sample i changes about its frame, without decoding the frame: `--layout delta`.

The rows hold no ``pixels``: known and ignored ones are known to whoever has the frame's labels. A frame of which only
the header was read may turn out to be broken later; it is recorded when the set is materialised, as a direct build
would have done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.recipe import Recipe, Scene
from pipelines.sources.frames import OverPlainFrames
from shards.delta import Delta, encode_delta
from shards.errors import BadInput, UserError
from shards.writer import Members


class DeltaCoder:
    """Codes what the samples of a recipe change about their frames, one by one.

    Args:
        recipe: an opened recipe whose samples begin as plain frames.
        seed: of all randomness.

    Raises:
        UserError: the recipe makes its frames in another way.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        if not isinstance(recipe, OverPlainFrames):
            raise UserError(
                f"--layout delta stores what is pasted over plain frames, and {recipe.name} makes its frames "
                "otherwise: use --layout shards."
            )
        self._recipe, self._plain, self._seed = recipe, recipe, seed
        self._frame = ""  # whose the next one is
        self._scene: Scene | None = None

    def members(self, index: int) -> tuple[Members, Mapping[str, Any]]:
        """The files of sample `index` in their order, and its meta; raises BadInput where its frame is broken."""
        scene = self._scene_of(index)
        try:
            size, change = scene.size, self._recipe.change(self._seed, index, scene)
        except BadInput:
            # The same words as in a direct build, which decodes the frame before it asks for anything.
            scene = self._recipe.base(self._seed, index)
            size, change = scene.size, self._recipe.change(self._seed, index, scene)
        return encode_delta(Delta(change.meta, change.patches, size, change.crop))

    def _scene_of(self, index: int) -> Scene:
        frame = self._recipe.input_of(self._seed, index)
        if self._scene is None or frame != self._frame:
            self._scene, self._frame = self._plain.scene(self._seed, index), frame
        return self._scene
