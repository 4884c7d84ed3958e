"""Table 3 of MGCDA: what each part of it adds.

Zhang, Wu, Cheng, He, Li: Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM Multimedia
2023. Nine rows: three ways to choose the training data, three of adversarial alignment, three of contrast. All rows
see equally many samples a step, for equally many steps, from the same shards, and weigh the classes alike: the paper
does not name its weights, so all rows have SynBoost's. A seed decides about weights and order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anomsynth.suites.base import Figures, Row, Settings, Stage, Suite

LOST, STATIC, ROAD = "FS LostAndFound", "FS Static", "RoadAnomaly"
SETS: Final = {("fishyscapes", "Lost & Found"): LOST, ("fishyscapes", "Static"): STATIC, ("roadanomaly", ""): ROAD}
TOY_SETS: Final = ("fishyscapes_lostandfound", "fishyscapes_static", "RoadAnomaly_jpg")
"""What the toy calls them."""


def _figures(*numbers: float) -> Figures:
    """(AP, FPR95) of the three sets, in the order of the paper's columns."""
    return {title: (numbers[2 * place], numbers[2 * place + 1]) for place, title in enumerate((LOST, STATIC, ROAD))}


COMMON: Final = ("--set", "class_weights=void")
"""Of all rows. Weights that came from the shares of the classes would change with the data of a row."""
TOY: Final = ("--lr", "1e-3", "--set", "warmup=10", "--set", "clip=5")
"""Of all rows on the toy world: a few hundred steps get nowhere at the published learning rate."""

_MDAT: Final = ("--data", "multi-domain")
ROWS: Final = (
    Row("VoidClass", "voidclass", ("--data", "voidclass"), _figures(60.58, 31.02, 66.44, 25.59, 38.21, 64.75)),
    Row("AnomalyMix", "anomalymix", ("--data", "anomalymix"), _figures(18.45, 40.52, 77.87, 19.41, 33.82, 65.45)),
    Row("Mix", "mix", ("--data", "mix"), _figures(56.71, 37.90, 67.61, 22.17, 34.45, 65.81)),
    Row(
        "Multi-domain, ODA", "oda", (*_MDAT, "--no-fda", "--no-dls", "--contrast", "none"),
        _figures(67.29, 38.20, 74.63, 23.36, 43.01, 55.59),
    ),
    Row(
        "+ FDA", "fda", (*_MDAT, "--no-dls", "--contrast", "none"), _figures(68.99, 25.39, 76.56, 21.95, 45.24, 56.33)
    ),
    Row("+ DLS", "dls", (*_MDAT, "--contrast", "none"), _figures(70.20, 25.76, 78.05, 26.12, 46.17, 53.89)),
    Row("+ PCL", "pcl", (*_MDAT, "--contrast", "pcl"), _figures(71.55, 24.73, 77.95, 24.15, 46.87, 51.23)),
    Row("+ CPCL", "cpcl", (*_MDAT, "--contrast", "cpcl"), _figures(72.30, 22.15, 78.79, 17.15, 47.95, 48.29)),
    Row("+ CPCL, AS", "cacl", (*_MDAT, "--contrast", "cacl"), _figures(74.71, 19.08, 80.90, 22.72, 50.35, 42.19)),
)  # fmt: skip


def prepare(out: Path, settings: Settings) -> Sequence[Stage]:
    """World, shards of both domains, segmenter, generator, and the shards enriched by them."""
    cityscapes = settings.cityscapes or str(out / "world" / "cityscapes")
    coco = settings.coco or str(out / "world" / "coco")
    device = ("--device", settings.device)
    loads = (*device, "--workers", str(settings.workers))
    stages = []
    words: tuple[str, ...]
    if settings.toy:
        words = ("toy", str(out / "world"), "--frames", "96", "--size", "384x192")
        stages.append(Stage("world", words, out / "world" / "toy.json", remnant=out / "world"))

    def built(recipe: str, folder: str, *words: str) -> Stage:
        command = ("build", recipe, "--cityscapes", cityscapes, "--out", str(out / folder), *words)
        return Stage(folder, command, out / folder / "manifest.json")

    stages.append(built("cityscapes", "frames"))
    count: tuple[str, ...] = ("--count", str(settings.samples))
    # Of the real frames each is used; the toy has fewer of them than samples.
    count = ("--samples-per-frame", "2" if settings.toy else "1", *count)
    # Both mechanisms: true void objects, and instances that are painted under a wrong name.
    stages.append(built("voidclass", "voidclass", "--mechanism", "both", *count))
    stages.append(built("anomalymix", "anomalymix", "--coco", coco, *count))

    segmenter: tuple[str, ...] = ("--segmenter", settings.segmenter, "--weights", settings.weights)
    if not settings.segmenter:
        run = out / "segmenter"
        steps = ("--steps", str(settings.segmenter_steps)) if settings.segmenter_steps else ()
        words = ("train", "segmenter", "--shards", str(out / "frames"), "--out", str(run), *steps, *loads)
        stages.append(Stage("segmenter", words, run / "checkpoint.json"))
        segmenter = ("--checkpoint", str(run))
    vgg19 = ("--vgg", settings.vgg19) if settings.vgg19 else ()
    generator = out / "generator"
    words = (
        "train", "resynthesis", "--shards", str(out / "frames"), "--out", str(generator), "--size", settings.size,
        "--width", str(settings.generator_width), "--steps", str(settings.generator_steps), *vgg19, *loads,
    )  # fmt: skip
    stages.append(Stage("generator", words, generator / "checkpoint.json"))
    for domain in ("voidclass", "anomalymix"):
        rich = out / f"{domain}-rich"
        words = (
            "enrich", str(out / domain), *segmenter, "--generator", str(generator), "--size", settings.size,
            "--out", str(rich), *vgg19, *device,
        )  # fmt: skip
        stages.append(Stage(rich.name, words, rich / "chain" / "chain.json"))
    return stages


def train(out: Path, settings: Settings, row: Row, seed: int, run: Path) -> Stage:
    """The network of a row."""
    vgg16 = ("--vgg", settings.vgg16) if settings.vgg16 else ()
    toy = TOY if settings.toy else ()
    words = (
        "train", "mgcda", "--voidclass", str(out / "voidclass-rich"), "--anomalymix", str(out / "anomalymix-rich"),
        "--out", str(run), *row.words, "--steps", str(settings.steps), "--width", str(settings.width),
        "--seed", str(seed), "--device", settings.device, "--workers", str(settings.workers), *COMMON, *toy, *vgg16,
    )  # fmt: skip
    return Stage(f"train-{row.key}-seed{seed}", words, run / "checkpoint.json")


def judge(out: Path, settings: Settings, run: Path, report: Path) -> Stage:
    """Its figures on the three sets of the paper, and whatever else lies in the folders that were given."""
    folders = settings.benchmarks or tuple(str(out / "world" / "benchmarks" / name) for name in TOY_SETS)
    data = [word for folder in folders for word in ("--data", folder)]
    words = (
        "eval", "all", *data, "--checkpoint", str(run), "--score", SUITE.score, "--out", str(report), "--overwrite",
        "--device", settings.device,
    )  # fmt: skip
    return Stage(f"judge-{report.parent.name}", words, report / "results.json")


def notes(settings: Settings) -> list[str]:
    """What differs from the paper, as far as the paper tells."""
    seen = "VGG16" if settings.vgg16 else "the segmenter"
    difference = "VGG19" if settings.vgg19 else "the segmenter"
    toy = ["Drawn by the tool: not comparable with the published figures."] if settings.toy else []
    words = ", learning rate 1e-3, 10 steps of warm-up, gradients clipped at 5" if settings.toy else ""
    return [
        *toy,
        f"Ours: features of {seen}, perceptual difference of {difference}, width {settings.width:g}, pictures of "
        f"{settings.size}, {settings.steps} steps, {settings.samples} samples of each domain{words}.",
        "All rows: equally many steps of 8 samples, so rows of one domain see theirs twice as often; SynBoost's "
        "class weights; VoidClass holds true void objects and instances painted under a wrong name. The paper does "
        "not name its weights, and describes VoidClass by the void objects.",
        "All rows and seeds share one segmenter, one generator and one set of shards: the spread over the seeds does "
        "not hold what others would change.",
    ]


SUITE: Final = Suite(
    name="mgcda-table3",
    title="MGCDA, table 3",
    source="Zhang et al., Improving Anomaly Segmentation with Multi-Granularity Cross-Domain Alignment, ACM MM 2023",
    sets=SETS,
    score="anomaly",
    rows=ROWS,
    versus=("cacl", "mix"),
    prepare=prepare,
    train=train,
    judge=judge,
    notes=notes,
)
