#!/bin/sh
# The main job on a world that the tool draws itself; `make demo` runs it. Each line behind a $ can be typed as it is.
# usage: sh benchmarks/demo.sh FOLDER SEED
set -eu
out=$1
seed=$2
here=$(dirname "$0")

run() {
    printf '\n$ anomsynth %s\n' "$*"
    anomsynth "$@"
}

# Only what an earlier demo left is replaced.
if [ -d "$out" ] && [ -n "$(ls -A "$out")" ] && [ ! -f "$out/.demo" ]; then
    echo "demo: $out holds something else; say another folder, such as: make demo DEMO=/tmp/demo" >&2
    exit 1
fi
rm -rf "$out"
mkdir -p "$out"
touch "$out/.demo"

# 1. A world in the layouts of Cityscapes, COCO and the benchmarks.
run toy "$out/world" --frames 96 --size 384x192 --seed "$seed"
city=$out/world/cityscapes

# 2. Training sets as WebDataset shards, and a look at one of them.
run build cityscapes --cityscapes "$city" --out "$out/frames" --seed "$seed"
run build voidclass --cityscapes "$city" --out "$out/voidclass" --seed "$seed"
run build anomalymix --coco "$out/world/coco" --cityscapes "$city" --out "$out/anomalymix" \
    --count 288 --seed "$seed" --config "$here/demo-mix.json"
run inspect "$out/anomalymix" --out "$out/inspect"

# 3. A segmenter from scratch, then its fine-tuning.
run train segmenter --shards "$out/frames" --out "$out/segmenter" --seed "$seed"
run train ovr --shards "$out/anomalymix" --shards "$out/voidclass" --checkpoint "$out/segmenter" \
    --out "$out/ovr" --seed "$seed" --config "$here/demo-ovr.json"

# 4. Judged before and after, on anomalies of kinds that no training set holds, and on the known classes.
run eval all --data "$out/world/benchmarks" --data "$city" --checkpoint "$out/segmenter" \
    --score energy --score msp --out "$out/before"
run eval all --data "$out/world/benchmarks" --data "$city" --checkpoint "$out/ovr" \
    --score energy --score msp --out "$out/after"
run report "$out/before" "$out/after" --score energy

printf '\nOpen in a browser:\n'
printf '  %s\n' "$out/inspect/index.html" "$out/before/report.html" "$out/after/report.html"
