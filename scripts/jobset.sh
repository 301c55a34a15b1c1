#!/usr/bin/env bash
# Trains on a TPU slice of a GKE cluster: fills in scripts/jobset.yaml and applies it.
#
#   scripts/jobset.sh --image=IMAGE --config=FILE[:ARG] --workdir=gs://... [OPTION ...]
#                     [--config.KEY=VALUE ...]
#
# Options:
#   --image=IMAGE         a container image with the code as working directory, installed with [tpu]
#   --config=FILE[:ARG]   what to train
#   --workdir=DIR         gs://..., or a folder that the image mounts from a shared volume
#   --name=genjax         of the JobSet
#   --namespace=default
#   --service-account=default
#   --accelerator=tpu-v5-lite-podslice   the node pool's
#   --topology=4x4        the node pool's
#   --chips=4             of a host
#   --spot=yes            whether the nodes are Spot VMs: yes or no
#   --restarts=100        how often it may be preempted or fail
#   --grace=120           seconds that a pod has to save; Spot VMs give 15 at most
#   --python=python       the image's
#   --dry-run             prints the command and runs it not

set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

image='' config='' workdir='' name=genjax namespace=default service_account=default
accelerator=tpu-v5-lite-podslice topology=4x4 chips=4 spot=yes restarts=100 grace=120 python=python
parse "image config workdir name namespace service-account accelerator topology chips spot restarts \
grace python" "$@"

label='[a-z0-9]([-a-z0-9.]*[a-z0-9])?'
((${#words[@]} == 0)) || die "${words[0]} is not understood: see --help"
need image config workdir python
check image '[^[:space:]"]+' "a container image"
check name '[a-z]([-a-z0-9]*[a-z0-9])?' "small letters, digits and hyphens"
check namespace "$label" "a Kubernetes name"
check service-account "$label" "a Kubernetes name"
check accelerator "$label" "a value of cloud.google.com/gke-tpu-accelerator"
check topology '[1-9][0-9]*(x[1-9][0-9]*){1,2}' "sides such as 4x4 or 2x2x4"
check chips '[1-9][0-9]*' "a number, at least 1"
check spot 'yes|no' "yes or no"
check restarts '[0-9]+' "a number"
check grace '[0-9]+' "a number of seconds"

all_chips=$((${topology//x/*}))
((all_chips % chips == 0)) || die "--chips=$chips does not divide the $all_chips of $topology"

# A list of texts in YAML, which takes JSON's.
list() {
  local text comma=''
  printf '['
  for text; do
    text=${text//\\/\\\\}
    printf '%s"%s"' "$comma" "${text//\"/\\\"}"
    comma=', '
  done
  printf ']'
}

manifest() {
  local text key
  local -A values=(
    [name]=$name [restarts]=$restarts [service-account]=$service_account [grace]=$grace
    [accelerator]=$accelerator [topology]=$topology [image]=$image [chips]=$chips
    [hosts]=$((all_chips / chips)) [spot]=''
  )
  [[ $spot == no ]] || values[spot]='cloud.google.com/gke-spot: "true"'
  values[command]=$(list "$python" main.py --config="$config" --workdir="$workdir" \
    "${overrides[@]}" --coordinator=auto)
  text=$(<"$(dirname "$0")/jobset.yaml")
  for key in "${!values[@]}"; do
    text=${text//"{$key}"/"${values[$key]}"}
  done
  printf '%s\n' "$text"
}

apply=(kubectl apply --namespace="$namespace" -f -)
if "$dry_run"; then
  printf "%s <<'MANIFEST'\n%s\nMANIFEST\n" "$(quoted "${apply[@]}")" "$(manifest)"
else
  manifest | "${apply[@]}"
fi
