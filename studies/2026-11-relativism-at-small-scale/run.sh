#!/usr/bin/env bash
# The study, all of it or the parts named: bash run.sh [speed] [stability] [rates] [today] [results]
#
# In this order: part 3, 1, 2 and 4 of the plan, then what the report is made of.
# Called again, it goes on where it was. It wants rgan-train on the PATH, and CIFAR-10's training images:
#   DATA    what to train on (data=folder data.root=data/cifar10-jpeg-train.zip). Without JPEG files, DATA=data=cifar10 has the
#           original images, whose scores differ a little.
#   OUT     where runs go (outputs/relativism)
#   JOBS    how many run side by side (2)
set -euo pipefail

read -ra data <<< "${DATA:-data=folder data.root=data/cifar10-jpeg-train.zip}"
out=${OUT:-outputs/relativism}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

losses=(sgan rsgan rasgan lsgan ralsgan hinge rahinge wgangp)

# Divergence (3) is a result, and ends a cell; all else ends the study here, to be called again.
train() {
  local part=$1 status=0
  shift
  rgan-train -m "$@" "${data[@]}" arch.width=8 train.iterations=4000 train.sample_every=1000 train.checkpoint_every=1000 \
    train.keep=1 'fid.features=[efficientnet-lite0,pixels]' fid.num_samples=5000 \
    hydra/launcher=joblib hydra.launcher.n_jobs="${JOBS:-2}" output_root="$out/$part" || status=$?
  [[ $status == 0 || $status == 3 ]] || exit "$status"
}

# Three seeds of its own for each loss, by its place in the list.
seeds() { echo "$((3 * $1 + 1)),$((3 * $1 + 2)),$((3 * $1 + 3))"; }

speed() {
  train speed loss=rsgan_gp,rasgan_gp seed=101,102,103,104,105 fid.every=500
  train speed loss=wgangp optim=wgangp seed=101,102,103,104,105 fid.every=500
  # The last generators drawn twice more.
  train speed loss=rsgan_gp,rasgan_gp seed=101,102,103,104,105 fid.every=500 fid.sampling_seeds=3
  train speed loss=wgangp optim=wgangp seed=101,102,103,104,105 fid.every=500 fid.sampling_seeds=3
}

stability() {
  for index in "${!losses[@]}"; do
    train stability experiment=table2_lr1e-3,table2_betas0.9,table2_no_bn,table2_tanh loss="${losses[$index]}" \
      seed="$(seeds "$index")"
  done
}

rates() {
  for index in "${!losses[@]}"; do
    train rates loss="${losses[$index]}" optim.lr=1e-4,3e-4,1e-3,3e-3 seed="$(seeds "$index")"
  done
  train rates loss=rsgan_r1r2 loss.penalty_weight=0.05 optim.lr=1e-4,3e-4,1e-3,3e-3 seed="$(seeds 8)"
}

today() {
  for loss in sgan rasgan ralsgan wgangp "rsgan_r1r2 loss.penalty_weight=0.05"; do
    read -ra chosen <<< "$loss"
    lr=$(python "$here/best_rate.py" "$out/rates" "${chosen[0]}")
    for draws in 1 3; do
      train today "loss=${chosen[0]}" "${chosen[@]:1}" optim.lr="$lr" seed=101,102,103,104,105 ema.half_life=5000 fid.every=1000 \
        fid.sampling_seeds="$draws"
    done
  done
}

# What the report is made of: the results without the machine's folders, its figures, its tables and sentences; of the
# parts that have runs.
results() {
  rgan-runs pack "$out" --out "$here/results.json"
  for part in stability rates speed today; do
    [[ -d $out/$part ]] || continue
    rgan-table "$here/results.json/$part" --table sweep --score fd_efficientnet-lite0 --figures "$here/figures/$part" \
      --out /dev/null
  done
  for figure in "$here"/figures/*/*; do
    grep -qF "(${figure#"$here/"})" "$here/REPORT.md" || rm "$figure" # it shows some of them, as SVG
  done
  python "$here/scale.py" "$here/results.json/speed" "$out/speed"
  (cd "$here/../.." && python -m scripts.report "$here/REPORT.md")
}

for part in "${@:-speed stability rates today results}"; do
  for each in $part; do
    "$each"
  done
done
