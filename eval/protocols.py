"""The rules that score maps are judged by, under the names of those who made them: one table, `PROTOCOLS`.

Published figures of one and the same map differ with the rules, by tens of points where they pool differently:

    smiyc-anomaly   Chan et al., NeurIPS D&B 2021, AnomalyTrack: all pixels are one pool; FPR at the first threshold
                    with TPR >= .95; beside the exact figures those of the official curve, which bins each frame by
                    quantiles; components of at least 500 predicted and 100 labelled pixels
    smiyc-obstacle  the same, ObstacleTrack: components of at least 50 predicted and 10 labelled pixels
    lostandfound    Pinggera et al., IROS 2016, as the SMIYC evaluator judges it: free road against obstacles, as in
                    smiyc-obstacle
    fishyscapes     Blum et al., IJCV 2021: one pool, first threshold with TPR >= .95
    roadanomaly     Lis et al., ICCV 2019, read as Fishyscapes is; the labels hold a 2 where the anomaly is
    caos            Hendrycks et al., ICML 2022 (StreetHazards): each frame has figures of its own, and their mean is
                    reported; frames of one class have none and are passed over; TPR nearest to .95
    pebal, rpl      Tian et al., ECCV 2022; Liu et al., ICCV 2023: one pool, TPR nearest to .95
    densehybrid,    Grcić et al., ECCV 2022; Nayal et al., ICCV 2023: one pool, first threshold with TPR > .95
    rba
    pooled          no benchmark's own: one pool, first threshold with TPR >= .95; what networks are judged by on
                    benchmarks without a protocol here
    eam, uno        Grcić et al., CVPRW 2023; Delić et al., BMVC 2024: one pool, first threshold with TPR >= .95

The evaluator behind smiyc-anomaly and smiyc-obstacle keeps score maps as float16, whose ties and thresholds are
others: its very figures are those of float16 files, which `anomsynth eval submit smiyc` writes and `eval scores`
judges as float16. A network's scores, and files of float32, are judged as they are.

AP is the step sum with ties merged in all of them. Left out are rules that cannot be kept with exact figures: the 100
class-balanced bins of meta-ood, and the trapezoidal AP of pytorch-ood, which is not the AP that anybody else prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from eval.benchmarks import acdcpoc, lostandfound, muad, streethazards
from eval.benchmarks.encoding import PLAIN, TWO_AND_UP, Encoding, encoding
from eval.benchmarks.smiyc import ANOMALY_TRACK, OBSTACLE_TRACK
from eval.metrics.component import SIZES, Sizes
from eval.metrics.conventions import Reach
from shards.errors import UserError
from shards.labels import IGNORE, KNOWN

Pooling = Literal["pooled", "per-image"]
"""One pool of all pixels, or the mean of figures that each frame has for itself."""


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "0-1-255": PLAIN,
    "2-is-anomaly": TWO_AND_UP,
    "254-is-anomaly": encoding(
        "trainIds 0..18 known, 254 anomaly, 255 ignore", known=range(19), anomaly=[254], ignore=[IGNORE]
    ),
    "255-is-anomaly": encoding("0 known, 255 anomaly", known=[KNOWN], anomaly=[255]),
    "streethazards": streethazards.ENCODING,
    "lostandfound": lostandfound.LABEL_IDS,
    "acdc-poc": acdcpoc.ENCODING,
    "muad": muad.ENCODING,
}
"""How public data sets store their labels, under the words that are typed on the command line."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules of one evaluator.

    Attributes:
        name: the word that is typed on the command line.
        summary: one line for people.
        encoding: a key of `ENCODINGS`: how its labels are stored.
        pooling: one pool, or the mean over frames.
        reach: where FPR95 is read (`eval/metrics/conventions.py`).
        components: sizes of its component metrics; None without.
        binned: whether the official curve is a binned one, which stands beside the exact one then.
        benchmark: the only benchmark that it is for; None for rules that hold anywhere.
        part: the only set of that benchmark that it is for; None for all of them.
        source: who published the rules; empty for rules of our own.
    """

    name: str
    summary: str
    encoding: str = "0-1-255"
    pooling: Pooling = "pooled"
    reach: Reach = "first"
    components: Sizes | None = None
    binned: bool = False
    benchmark: str | None = None
    part: str | None = None
    source: str = ""


_SMIYC: Final = "Chan et al., NeurIPS Datasets and Benchmarks 2021"

PROTOCOLS: Final[Mapping[str, Protocol]] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "smiyc-anomaly",
            "SegmentMeIfYouCan AnomalyTrack",
            components=SIZES["smiyc-anomaly"],
            binned=True,
            benchmark="smiyc",
            part=ANOMALY_TRACK.name,
            source=_SMIYC,
        ),
        Protocol(
            "smiyc-obstacle",
            "SegmentMeIfYouCan ObstacleTrack",
            components=SIZES["smiyc-obstacle"],
            binned=True,
            benchmark="smiyc",
            part=OBSTACLE_TRACK.name,
            source=_SMIYC,
        ),
        Protocol(
            "lostandfound",
            "LostAndFound as SegmentMeIfYouCan judges it",
            encoding="lostandfound",
            components=SIZES["smiyc-obstacle"],
            binned=True,
            benchmark="lostandfound",
            source=f"Pinggera et al., IROS 2016; {_SMIYC}",
        ),
        Protocol(
            "fishyscapes",
            "Fishyscapes Lost & Found and Static",
            benchmark="fishyscapes",
            source="Blum et al., IJCV 2021",
        ),
        Protocol(
            "roadanomaly",
            "RoadAnomaly",
            encoding="2-is-anomaly",
            benchmark="roadanomaly",
            source="Lis et al., ICCV 2019",
        ),
        Protocol(
            "caos",
            "CAOS: StreetHazards, mean over frames",
            "streethazards",
            pooling="per-image",
            reach="nearest",
            source="Hendrycks et al., ICML 2022",
        ),
        Protocol("pooled", "all pixels in one pool"),
        Protocol("pebal", "as PEBAL's code judges", reach="nearest", source="Tian et al., ECCV 2022"),
        Protocol("rpl", "as RPL's code judges", reach="nearest", source="Liu et al., ICCV 2023"),
        Protocol("densehybrid", "as DenseHybrid's code judges", reach="beyond", source="Grcić et al., ECCV 2022"),
        Protocol("rba", "as RbA's code judges", reach="beyond", source="Nayal et al., ICCV 2023"),
        Protocol("eam", "as EAM's code judges", source="Grcić et al., CVPRW 2023"),
        Protocol("uno", "as UNO's code judges", source="Delić et al., BMVC 2024"),
    )
}
"""Every protocol by name."""


def protocol_named(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UserError: there is none.
    """
    if name not in PROTOCOLS:
        raise UserError(f"There is no protocol {name!r}. The protocols are: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def encoding_named(name: str) -> Encoding:
    """The label encoding of a name.

    Raises:
        UserError: there is none.
    """
    if name not in ENCODINGS:
        raise UserError(f"There is no label encoding {name!r}. The encodings are: {', '.join(ENCODINGS)}.")
    return ENCODINGS[name]
