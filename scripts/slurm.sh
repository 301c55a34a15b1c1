#!/usr/bin/env bash
# Submits a training to Slurm: one process a GPU, queued again by itself until it is done.
#
#   scripts/slurm.sh --config=FILE[:ARG] --workdir=DIR [OPTION ...] [--config.KEY=VALUE ...]
#
# Options:
#   --config=FILE[:ARG]   what to train
#   --workdir=DIR         where: a folder that all nodes see
#   --nodes=1             how many
#   --gpus=1              GPUs of each node; take whole nodes
#   --cpus=8              cores of each process
#   --time=24:00:00       limit of one turn in the queue
#   --grace=120           seconds before the limit at which the run saves and ends
#   --partition=NAME      Slurm's own by default
#   --account=NAME        Slurm's own by default
#   --python=python       with the project installed, on all nodes
#   --directory=DIR       of the code on all nodes; by default where this script is
#   --dry-run             prints the commands and runs none

set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

config='' workdir='' nodes=1 gpus=1 cpus=8 time=24:00:00 grace=120
partition='' account='' python=python directory=$(cd "$(dirname "$0")/.." && pwd)
parse "config workdir nodes gpus cpus time grace partition account python directory" "$@"

((${#words[@]} == 0)) || die "${words[0]} is not understood: see --help"
need config workdir python directory
check nodes '[1-9][0-9]*' "a number, at least 1"
check gpus '[1-9][0-9]*' "a number, at least 1"
check cpus '[1-9][0-9]*' "a number, at least 1"
check grace '[1-9][0-9]*' "a number of seconds, at least 1"
check time '([0-9]+-)?[0-9]+(:[0-9]+){0,2}' "a time as Slurm takes it, such as 24:00:00"

# JAX lets process i of a node have GPU i of those that it sees, so each has to see all of them:
# --gpus-per-node does that, --gpus-per-task does not.
options=(
  --job-name=genjax
  --nodes="$nodes"
  --ntasks-per-node="$gpus"
  --gpus-per-node="$gpus"
  --cpus-per-task="$cpus"
  --time="$time"
  --signal="TERM@$grace"
  --requeue
  --open-mode=append
  --chdir="$directory"
)
[[ -z $partition ]] || options+=(--partition="$partition")
[[ -z $account ]] || options+=(--account="$account")
command=(
  "$python" main.py --config="$config" --workdir="$workdir" "${overrides[@]}" --coordinator=auto
)

run sbatch "${options[@]}" "$directory/scripts/slurm.sbatch" "${command[@]}"
if "$dry_run"; then
  echo "# and in the job:"
  bash "$(dirname "$0")/slurm.sbatch" --dry-run "${command[@]}"
fi
