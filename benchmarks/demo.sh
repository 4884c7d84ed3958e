#!/bin/sh
# The main job on a world that the tool draws itself. `make demo` runs it; each line that starts with $ can be typed.
set -eu
out=$1
seed=$2
export PYTHONWARNINGS=ignore HF_HUB_OFFLINE=1

run() {
    printf '\n$ anomsynth %s\n' "$*"
    anomsynth "$@"
}

rm -rf "$out"
mkdir -p "$out"

# 1. A world in the layouts of Cityscapes, COCO and the benchmarks.
run toy "$out/world" --frames 96 --size 384x192 --seed "$seed"

# 2. Training sets, as WebDataset shards.
run build cityscapes --cityscapes "$out/world/cityscapes" --out "$out/frames" --seed "$seed"
run build voidclass --cityscapes "$out/world/cityscapes" --out "$out/voidclass" --seed "$seed"
run build anomalymix --coco "$out/world/coco" --cityscapes "$out/world/cityscapes" --out "$out/anomalymix" --seed "$seed" --count 192
run inspect "$out/anomalymix" --out "$out/inspect"

# 3. A segmenter from scratch, then its fine-tuning on the mixed frames.
run train segmenter --shards "$out/frames" --out "$out/segmenter" --seed "$seed"
run train ovr --shards "$out/anomalymix" --shards "$out/voidclass" --checkpoint "$out/segmenter" --out "$out/ovr" --seed "$seed"

# 4. Judged before and after, on anomalies of kinds that no training set contains.
run eval all --data "$out/world/benchmarks" --data "$out/world/cityscapes" --checkpoint "$out/segmenter" --out "$out/before"
run eval all --data "$out/world/benchmarks" --data "$out/world/cityscapes" --checkpoint "$out/ovr" --out "$out/after"
run report "$out/before" "$out/after" --score energy

printf '\nOpen in a browser:\n'
printf '  %s\n' "$out/inspect/index.html" "$out/before/report.html" "$out/after/report.html"
