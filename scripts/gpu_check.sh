#!/usr/bin/env bash
# Everything that needs a GPU, in one go, within nine minutes: tests, benchmarks, and one run on real images.
#
#   scripts/gpu_check.sh [OUT]
#
# OUT (default benchmarks/gpu) gets the tables, JSON files, result.json and the newest grid. On a bare machine without
# network, lay wheels of what is missing (of pytest too) into ./wheelhouse first; where they cannot be installed it says
# so and stops. CIFAR-10 as a .zip of images: RGAN_REAL_DATA=FILE; without it the run is on the embedded shapes. What
# matters most comes first. Parts that failed, or for which no time was left, are named at the end. Called again with
# the same OUT, it does those, and the run goes on where it was.
#
# What is done can be made smaller, as for a rehearsal on a CPU (a quarter of an hour on two cores that are not busy):
#   RGAN_CHECK_DEVICE=cpu RGAN_CHECK_OVERRIDES="arch.width=8 train.batch_size=4" RGAN_CHECK_SECONDS=0.2 \
#   RGAN_CHECK_ROUNDS=1 RGAN_CHECK_MARKS="4 8 12" RGAN_CHECK_FAKES=200 RGAN_CHECK_BUDGET=3600 \
#   scripts/gpu_check.sh /tmp/rehearsal
set -uo pipefail
cd "$(dirname "$0")/.." || exit
out=${1:-benchmarks/gpu}
device=${RGAN_CHECK_DEVICE:-cuda}
read -ra overrides <<< "${RGAN_CHECK_OVERRIDES:-}"
seconds=${RGAN_CHECK_SECONDS:-1}                        # of each loop, in each round of a benchmark
rounds=${RGAN_CHECK_ROUNDS:-3}
read -ra marks <<< "${RGAN_CHECK_MARKS:-1000 10000 50000 100000}" # iterations at which the run is scored
fakes=${RGAN_CHECK_FAKES:-50000}
budget=${RGAN_CHECK_BUDGET:-530}                        # seconds for all of it
python=${PYTHON:-python3}
packages=.gpu-packages
if [ -d wheelhouse ] && { [ ! -d $packages ] || [ wheelhouse -nt $packages ]; }; then
  rm -rf $packages.new
  if ! said=$("$python" -m pip install --quiet --no-index --no-deps --target $packages.new wheelhouse/*.whl 2>&1); then
    rm -rf $packages.new
    echo "gpu_check: ./wheelhouse cannot be installed ($(grep -m 1 ERROR <<< "$said" || tail -n 1 <<< "$said")); replace" \
      "or remove that wheel and call again" >&2
    exit 2
  fi
  rm -rf $packages
  mv $packages.new $packages
fi
mkdir -p "$out"
export PYTHONPATH="$PWD:$PWD/$packages${PYTHONPATH:+:$PYTHONPATH}"
export RGAN_BENCH_CACHE="$PWD/.gpu-cache"
failed=()

part() {  # part NAME SECONDS COMMAND…: its output goes to OUT/NAME.txt, which has this name only if it went well
  local name=$1 limit=$2 left=$((budget - SECONDS)) status
  shift 2
  [ -e "$out/$name.txt" ] && return
  if [ "$left" -le 5 ]; then
    failed+=("$name (no time left)")
    return
  fi
  echo "== $name (at $SECONDS s)"
  timeout --signal=TERM --kill-after=10 $((limit < left ? limit : left)) "$@" > "$out/$name.unfinished.txt" 2>&1
  status=$?
  tail -n 12 "$out/$name.unfinished.txt"
  if [ "$status" -eq 0 ]; then
    mv "$out/$name.unfinished.txt" "$out/$name.txt"
  else
    failed+=("$name (status $status)")
  fi
}

bench() {
  local name=$1
  shift
  part "$name" 75 "$python" scripts/bench_train.py --device "$device" --rounds "$rounds" --seconds "$seconds" \
    --warm-up 10 --json "$out/$name.json" ${overrides[@]+"${overrides[@]}"} "$@"
}

data=(data=demo)
if [ -n "${RGAN_REAL_DATA:-}" ]; then data=(data=folder "data.root=$RGAN_REAL_DATA"); fi

runs() {  # runs MARK…: each goes on where the one before ended, which is exact, and scores the generator there
  local mark run newest
  for mark in "$@"; do
    part "run_$mark" 240 "$python" -c 'from rgan_bench.cli.train import main; main()' loss=rasgan "${data[@]}" \
      ${overrides[@]+"${overrides[@]}"} device="$device" train.iterations="$mark" "fid.features=[efficientnet-lite0]" \
      fid.num_samples="$fakes" fid.every=100000 output_root="$out/run"
  done
  for run in "$out"/run/*/; do
    [ -d "$run" ] || continue
    [ -e "$run/result.json" ] && cp "$run/result.json" "$out/result.json"
    newest=$(find "$run/samples" -name '*.png' | sort | tail -n 1)
    [ -n "$newest" ] && cp "$newest" "$out/grid.png"
  done
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv > "$out/machine.txt" 2>&1
"$python" -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.version.cuda)' >> "$out/machine.txt"
cat "$out/machine.txt"

part tests 150 "$python" -m pytest -q -p no:cacheprovider -m gpu tests
bench cnn32_rasgan --loss rasgan
runs "${marks[@]:0:2}"

bench cnn32_precision --loss rasgan --only ships --beside precision=bfloat16 --beside precision=float32
bench cnn32_wgangp --loss wgangp optim=wgangp
bench cnn32_rsgan_gp --loss rsgan_gp
bench dcgan64 --arch dcgan64
bench dcgan128 --arch dcgan128
bench dcgan256 --arch dcgan256
bench cnn32_table2 --loss rasgan arch.spectral_norm=false arch.batch_norm=both
# Networks that the script of 2018 does not have, as their papers train them (R3GAN's batch would be 512).
bench snresnet32 --arch snresnet32 --loss hinge --batch 64 optim.n_d=5 --only ships --beside precision=bfloat16
bench r3gan32 --arch r3gan32 --loss rsgan_r1r2 --batch 64 --only ships --beside precision=bfloat16

runs "${marks[@]:2}"
part scoring 90 "$python" -m scripts.bench_fid --device "$device" --features efficientnet-lite0 \
  --fakes "$((fakes / 5))" --real "$((fakes / 5))" --rounds 1 --json "$out/scoring.json"

# What might be faster still: tensors that do not lie channels last, and all algorithms of cuDNN in place of 10.
bench cnn32_layout --loss rasgan --only ships --beside layout=contiguous --beside benchmark_limit=0
bench dcgan128_layout --arch dcgan128 --only ships --beside layout=contiguous
bench cnn32_compile --loss rasgan accelerate=compile --only ships

echo "== failed: ${failed[*]:-nothing} (at $SECONDS s)"
[ ${#failed[@]} -eq 0 ]
