"""Cards of the post-hoc scores, apart from their arithmetic: `anomsynth list` must not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from shards.cards import Card


def _card(name: str, summary: str, title: str, venue: str, year: int, url: str, *needs: str) -> Card:
    return Card("score", name, summary, title=title, venue=venue, year=year, url=url, needs=needs)


CARDS: Mapping[str, Card] = {
    card.name: card
    for card in (
        _card(
            "msp",
            "1 - max p: how little the most probable class convinces",
            "A Baseline for Detecting Misclassified and Out-of-Distribution Examples in Neural Networks",
            "ICLR",
            2017,
            "https://arxiv.org/abs/1610.02136",
        ),
        _card(
            "entropy",
            "-sum p ln p / ln C: how evenly the classes share the pixel, 0..1",
            "Entropy Maximization and Meta Classification for Out-of-Distribution Detection in Semantic Segmentation",
            "ICCV",
            2021,
            "https://arxiv.org/abs/2012.06575",
        ),
        _card(
            "maxlogit",
            "-max z: the best logit before the softmax hides its size",
            "Scaling Out-of-Distribution Detection for Real-World Settings",
            "ICML",
            2022,
            "https://arxiv.org/abs/1911.11132",
        ),
        _card(
            "energy",
            "-ln sum e^z: free energy at temperature 1",
            "Energy-based Out-of-distribution Detection",
            "NeurIPS",
            2020,
            "https://arxiv.org/abs/2010.03759",
        ),
        Card(
            "score",
            "maxmin",
            "-(max z - min z): the span of the logits; made for one-versus-rest heads",
        ),
        Card(
            "score",
            "void",
            "softmax over all outputs, probability of the void output",
            needs=("a network with a void output behind the 19 classes",),
        ),
    )
}
"""Score name -> card, in the order in which tables list them."""

_SYNBOOST = (
    "Pixel-wise Anomaly Detection in Complex Driving Scenes",
    "CVPR",
    2021,
    "https://arxiv.org/abs/2103.05445",
    "a run of `anomsynth train mgcda`",
)

COMPARING_CARDS: Mapping[str, Card] = {
    card.name: card
    for card in (
        _card("anomaly", "what a network that compares with a resynthesis takes for an anomaly, 0..1", *_SYNBOOST),
        _card(
            "ensemble",
            "3/4 anomaly + 1/4 entropy map; tuned on test data by its authors, so its figures are optimistic",
            *_SYNBOOST,
        ),
    )
}
"""Those of a detector that compares with a resynthesis, which gives no logits of known classes."""
