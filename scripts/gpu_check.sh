#!/usr/bin/env bash
# Everything that needs a GPU, in one go, within nine minutes: tests, benchmarks, the beginning of a real run.
#
#   scripts/gpu_check.sh [OUT]
#
# OUT (default benchmarks/gpu) gets the tables, JSON files, result.json and the newest grid. On a bare machine without
# network, lay wheels of what is missing into ./wheelhouse first. CIFAR-10 as a .zip of images: RGAN_REAL_DATA=FILE;
# without it the run uses the embedded shapes. Parts that fail are named at the end, and the rest goes on.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-benchmarks/gpu}
mkdir -p "$out"
python=${PYTHON:-python3}
if [ -d wheelhouse ]; then
  $python -m pip install --quiet --no-index --no-deps --target .gpu-packages wheelhouse/*.whl
fi
export PYTHONPATH="$PWD:$PWD/.gpu-packages${PYTHONPATH:+:$PYTHONPATH}"
export RGAN_BENCH_CACHE="$PWD/.gpu-cache"
failed=()

part() {  # part NAME SECONDS COMMAND…: its output goes to OUT/NAME.txt
  local name=$1 seconds=$2
  shift 2
  echo "== $name"
  timeout "$seconds" "$@" > "$out/$name.txt" 2>&1 || failed+=("$name (status $?)")
  tail -n 12 "$out/$name.txt"
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$out/machine.txt" 2>&1
$python -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.version.cuda)' >> "$out/machine.txt"
cat "$out/machine.txt"

bench() { part "$1" 60 $python scripts/bench_train.py --device cuda --rounds 3 --seconds 2 --warm-up 10 --json "$out/$1.json" "${@:2}"; }
part tests 120 $python -m pytest -q -p no:cacheprovider -m gpu tests
bench cnn32_rasgan --loss rasgan
bench cnn32_wgangp --loss wgangp optim=wgangp
bench cnn32_rsgan_gp --loss rsgan_gp
bench cnn32_table2 --loss rasgan arch.spectral_norm=false arch.batch_norm=both
bench dcgan64 --arch dcgan64 --batch 32
bench dcgan128 --arch dcgan128 --batch 32
bench dcgan256 --arch dcgan256 --batch 32
bench cnn32_compile --loss rasgan --only ships accelerate=compile
part scoring 90 $python -m scripts.bench_fid --device cuda --features efficientnet-lite0 --fakes 10000 --real 10000 --rounds 1 --json "$out/scoring.json"

data=(data=demo)
if [ -n "${RGAN_REAL_DATA:-}" ]; then data=(data=folder "data.root=$RGAN_REAL_DATA"); fi
# A run of 100,000 iterations goes on where it was stopped: call this script again, or the command by itself.
timeout --signal=TERM 90 $python -c 'from rgan_bench.cli.train import main; main()' loss=rasgan "${data[@]}" device=cuda \
  "fid.features=[efficientnet-lite0]" fid.every=10000 output_root="$out/run" > "$out/run.txt" 2>&1
tail -n 6 "$out/run.txt"
for run in "$out"/run/*/; do
  cp "$run/result.json" "$out/result.json"
  cp "$(ls "$run"samples/*.png | tail -n 1)" "$out/grid.png"
done
echo "== failed: ${failed[*]:-nothing}"
[ ${#failed[@]} -eq 0 ]
