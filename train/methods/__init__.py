"""Methods by name. A method is a file here, a row in `METHODS` and a card in `train/cards.py`."""

from __future__ import annotations

from collections.abc import Mapping

from train.methods import mgcda, ovr, resynthesis, segmenter
from train.methods.base import Method

METHODS: Mapping[str, Method] = {
    method.card.name: method for method in (segmenter.METHOD, ovr.METHOD, resynthesis.METHOD, mgcda.METHOD)
}
