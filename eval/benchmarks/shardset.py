"""A shard set as a benchmark: the held-out synthetic split on which checkpoints may be chosen (law 7)."""

from __future__ import annotations

from pathlib import Path

from eval.benchmarks.sets import BenchmarkSet, ShardFrame
from shards.cards import Card
from shards.delta import open_set

CARD = Card(
    "benchmark",
    "shards",
    "Shards built from a held-out split: where a checkpoint or a setting is chosen, instead of on a benchmark",
    needs=("a shard set with anomalies, such as anomalymix of --split val --coco-split val2017",),
)


def find(folder: Path) -> list[BenchmarkSet]:
    """All samples of one shard set; the set's name is the folder's.

    Raises:
        UserError: not a complete shard set, or a delta set.
    """
    shards = open_set(folder)
    frames = tuple(ShardFrame(key, shards, index) for index, key in enumerate(shards.keys))
    note = f"synthetic: recipe {shards.manifest.recipe}, seed {shards.manifest.seed}; no public benchmark"
    return [BenchmarkSet(folder.resolve().name, CARD.name, "shards", frames, (note,))]
