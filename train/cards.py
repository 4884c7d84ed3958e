"""Cards of the networks and methods: what `anomsynth list` prints. Free of torch, which takes seconds to import."""

from __future__ import annotations

from shards.cards import Card

ERFNET = Card(
    kind="network",
    name="erfnet",
    summary="ERFNet: residual factorised convolutions, 2.1 M parameters, fast on any machine.",
    title="ERFNet: Efficient Residual Factorized ConvNet for Real-time Semantic Segmentation",
    venue="IEEE T-ITS",
    year=2018,
    url="https://doi.org/10.1109/TITS.2017.2750080",
    needs=("weights trained on Cityscapes (--weights), or `anomsynth train segmenter`",),
    licence="The published Cityscapes weights are CC BY-NC 4.0.",
)

LITE = Card(
    kind="network",
    name="lite",
    summary="LiteFPN: plain convolutions and a feature pyramid, 0.6 M parameters; learns the toy world in minutes.",
    needs=("`anomsynth train segmenter`",),
)

DISSIMILARITY = Card(
    kind="network",
    name="dissimilarity",
    summary="Finds where an image and its resynthesis differ: VGG16 or the segmenter's encoder, 18.8 M parameters.",
    title="Pixel-wise Anomaly Detection in Complex Driving Scenes",
    venue="CVPR",
    year=2021,
    url="https://arxiv.org/abs/2103.05445",
    needs=("a segmenter and a label-to-image generator", "VGG16's ImageNet weights, or the segmenter's features"),
)

SPADE = Card(
    kind="network",
    name="spade",
    summary="Paints a street scene from a map of classes: SPADE's generator, 92.6 M parameters.",
    title="Semantic Image Synthesis with Spatially-Adaptive Normalization",
    venue="CVPR",
    year=2019,
    url="https://arxiv.org/abs/1903.07291",
    needs=("`anomsynth train resynthesis`",),
)

SEGMENTER = Card(
    kind="method",
    name="segmenter",
    summary="Plain cross entropy on the known classes: the closed-set segmenter that the other methods start from.",
    needs=("shards with semantic maps",),
)

OVR = Card(
    kind="method",
    name="ovr",
    summary="Fine-tune a segmenter with the top-K one-vs-rest loss on pasted anomalies; inference costs the same.",
    title="Anomaly-Aware Semantic Segmentation via Style-Aligned OoD Augmentation",
    venue="ICCV Workshops",
    year=2023,
    url="https://arxiv.org/abs/2308.09965",
    needs=("shards with anomalies, such as anomalymix", "a segmenter trained on the known classes"),
)

RESYNTHESIS = Card(
    kind="method",
    name="resynthesis",
    summary="A generator that paints streets from class maps, for photographs to be compared with.",
    title="Semantic Image Synthesis with Spatially-Adaptive Normalization",
    venue="CVPR",
    year=2019,
    url="https://arxiv.org/abs/1903.07291",
    needs=("shards with semantic maps, such as `build cityscapes`",),
)

MGCDA = Card(
    kind="method",
    name="mgcda",
    summary="A dissimilarity network, kept from telling VoidClass and AnomalyMix apart; no segmenter is changed.",
    title="Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment",
    venue="ACM Multimedia",
    year=2023,
    url="https://arxiv.org/abs/2308.08696",
    needs=(
        "enriched voidclass and anomalymix shards (`anomsynth enrich`)",
        "at test time a segmenter and a generator before the network",
    ),
)

NETWORK_CARDS = (ERFNET, LITE, DISSIMILARITY, SPADE)
METHOD_CARDS = (SEGMENTER, OVR, RESYNTHESIS, MGCDA)
