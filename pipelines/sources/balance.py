"""How often objects of each category are drawn.

COCO has 25 times as many books as toasters. Drawn object by object, a few categories make up most of the anomalies;
drawn category by category, all come equally often, and the objects of rare ones again and again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float64, Int64
from pydantic import Field

from shards.config import Config
from shards.errors import UserError

Weight = Annotated[float, Field(ge=0, le=1e6)]


class BalanceRules(Config):
    """How often objects of each category are drawn."""

    balance: Literal["objects", "categories"] = "objects"
    """objects: each object as often as any other; categories: first a category, by `category_weights`, then one of
    its objects. Of pictures pasted as a whole (unit image), one that shows the category."""
    category_weights: dict[str, Weight] = Field(default_factory=dict)
    """With balance=categories: how often a category is drawn, such as {"dog": 2, "book": 0}; 1 where not named."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A way to draw one of some objects.

    Attributes:
        count: of the objects.
        edges: cumulated shares of the categories, the last is 1; None: categories do not matter.
        members: places of the objects of each category.
    """

    count: int
    edges: Float64[np.ndarray, n] | None = None
    members: tuple[Int64[np.ndarray, _], ...] = ()

    @classmethod
    def of(cls, categories: Sequence[str], rules: BalanceRules) -> Balance:
        """Prepare drawing.

        Args:
            categories: of each object; several are joined by ``+``.
            rules: how often each is drawn.

        Raises:
            UserError: a weight is given to a category that no object has, or nothing is left to draw.
        """
        if rules.balance == "objects":
            return cls(len(categories))
        places: dict[str, list[int]] = defaultdict(list)
        for place, joined in enumerate(categories):
            for name in joined.split("+"):
                places[name].append(place)
        for name in rules.category_weights:
            if name not in places:
                raise UserError(
                    f"category_weights names {name!r}, of which no object may be pasted: there are "
                    f"{', '.join(sorted(places))}."
                )
        weights = {name: rules.category_weights.get(name, 1.0) for name in sorted(places)}
        drawn = [name for name, weight in weights.items() if weight > 0]
        if not drawn:
            raise UserError("category_weights gives every category the weight 0: leave one of them above it.")
        sums = np.cumsum([weights[name] for name in drawn], dtype=np.float64)
        return cls(len(categories), sums / sums[-1], tuple(np.array(places[name], np.int64) for name in drawn))

    def draw(self, rng: np.random.Generator) -> int:
        """The place of an object."""
        if self.edges is None:
            return int(rng.integers(self.count))
        members = self.members[int(np.searchsorted(self.edges, rng.random(), side="right"))]
        return int(members[rng.integers(len(members))])
