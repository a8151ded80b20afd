#!/usr/bin/env bash
# NVIDIA MPS, with which several runs on one GPU compute at the same time instead of in turn:
#
#   scripts/mps.sh start | stop | status
#
# It serves what starts after it, of one user at a time. Set CUDA_MPS_PIPE_DIRECTORY for the runs too, if you set it here.
# stop refuses while processes use it; status ends with 1 where it does not run. docs/clusters.md says when it is worth it.
set -uo pipefail
pipes=${CUDA_MPS_PIPE_DIRECTORY:-/tmp/nvidia-mps}
export CUDA_MPS_LOG_DIRECTORY=${CUDA_MPS_LOG_DIRECTORY:-${TMPDIR:-/tmp}/nvidia-mps-log-$UID} # its own is root's

fail() {
  echo "mps.sh: error: $1" >&2
  exit 2
}
ask() { nvidia-cuda-mps-control <<< "$1" 2>&1; }
running() { ask get_server_list > /dev/null; }
clients() { # their process numbers
  local server
  for server in $(ask get_server_list); do ask "get_client_list $server"; done | xargs
}

[[ $# -eq 1 && $1 =~ ^(start|stop|status)$ ]] || fail "${*:-nothing}: start, stop or status?"
command -v nvidia-cuda-mps-control > /dev/null ||
  fail "there is no nvidia-cuda-mps-control, which comes with NVIDIA's driver; without it runs on one GPU take turns"
case $1 in
  start)
    running && echo "NVIDIA MPS runs already ($pipes)" && exit
    mkdir -p "$CUDA_MPS_LOG_DIRECTORY" ${CUDA_MPS_PIPE_DIRECTORY:+"$CUDA_MPS_PIPE_DIRECTORY"} ||
      fail "CUDA_MPS_LOG_DIRECTORY, CUDA_MPS_PIPE_DIRECTORY: name folders that you can write to"
    nvidia-cuda-mps-control -d
    running || fail "NVIDIA MPS does not start; $CUDA_MPS_LOG_DIRECTORY/control.log may say why"
    echo "NVIDIA MPS runs ($pipes)"
    ;;
  stop)
    running || fail "NVIDIA MPS does not run ($pipes)"
    using=$(clients)
    [ -z "$using" ] || fail "processes $using use NVIDIA MPS; stop them first (Ctrl-C, or kill: they save)"
    said=$(ask quit) || fail "NVIDIA MPS does not stop ($said)"
    echo "NVIDIA MPS is stopped"
    ;;
  status)
    running || { echo "NVIDIA MPS does not run ($pipes)"; exit 1; }
    using=$(clients)
    echo "NVIDIA MPS runs ($pipes); processes that use it: ${using:-none}"
    ;;
esac
