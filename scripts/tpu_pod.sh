#!/usr/bin/env bash
# Trains on a Cloud TPU pod slice, with gcloud.
#
#   scripts/tpu_pod.sh VERB --zone=ZONE [OPTION ...] [--config.KEY=VALUE ...]
#
# Verbs:
#   create    asks for the slice and waits until it is there
#   install   installs the code on all its workers
#   train     trains, or goes on, on all its workers
#   run       all of these; after a preemption again, until the training is done
#   stop      has a training save and end
#   status    says what state the slice is in
#   delete    gives it back: only this ends the costs
#
# Options:
#   --zone=ZONE           where, such as us-west4-a
#   --project=PROJECT     gcloud's own by default
#   --name=genjax         of the slice
#   --type=v5litepod-16   accelerator type
#   --runtime=VERSION     by default the one for the type
#   --spot=yes            yes: cheaper, may be preempted; no: on demand
#   --repository=URL      of the code, for install and run
#   --ref=main            branch, tag or commit of it
#   --python=3.12         version, which install brings
#   --config=FILE[:ARG]   what to train, for train and run
#   --workdir=gs://...    where, for train and run: all workers have to see it
#   --failures=3          how many failures in a row end `run`
#   --poll=30             seconds between looks at the slice
#   --dry-run             prints the commands and runs none
#
# Exit code of train and run: 0 done; 2 yours to mend; 75 interrupted and saved; 1 anything else.

set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

zone='' project='' name=genjax type=v5litepod-16 runtime='' spot=yes
repository='' ref=main python=3.12 config='' workdir='' failures=3 poll=30
parse "zone project name type runtime spot repository ref python config workdir failures poll" "$@"

verbs="create, install, train, run, stop, status or delete"
((${#words[@]} == 1)) || die "one verb is needed: $verbs"
verb=${words[0]}
need zone name type
check name '[a-z]([-a-z0-9]*[a-z0-9])?' "small letters, digits and hyphens"
check spot 'yes|no' "yes or no"
check failures '[0-9]+' "a number"
check poll '[0-9]+' "a number of seconds"
case $verb in
  create | stop | status | delete) ;;
  install) need repository ref ;;
  train) need config workdir ;;
  run) need repository ref config workdir ;;
  *) die "$verb is no verb: $verbs" ;;
esac
[[ -z $workdir || $workdir == gs://* ]] || die "--workdir=$workdir has to be gs://...: see --help"

if [[ -z $runtime ]]; then
  case $type in
    v6e-*) runtime=v2-alpha-tpuv6e ;;
    v5p-*) runtime=v2-alpha-tpuv5 ;;
    v5litepod-*) runtime=v2-alpha-tpuv5-lite ;;
    v[234]-*) runtime=tpu-ubuntu2204-base ;;
    *) die "--type=$type has no runtime version that this script knows: give --runtime=VERSION" ;;
  esac
fi

place=(--zone="$zone")
[[ -z $project ]] || place+=(--project="$project")
mark="genjax ended with exit code" # gcloud does not tell which code a worker's command had

queued() { run gcloud compute tpus queued-resources "$1" "$name" "${place[@]}" "${@:2}"; }

on_all() { run gcloud compute tpus tpu-vm ssh "$name" "${place[@]}" --worker=all --command="$1"; }

state() { queued describe --format='value(state.state)'; }

create() {
  local kind=() now
  [[ $spot == no ]] || kind=(--spot)
  queued create --node-id="$name" --accelerator-type="$type" --runtime-version="$runtime" \
    "${kind[@]}" || return 1
  while :; do
    now=$(state) || return 1
    printf '%s\n' "$now"
    if "$dry_run"; then return; fi
    case $now in
      ACTIVE) return ;;
      FAILED | SUSPENDING | SUSPENDED) return 1 ;;
    esac
    sleep "$poll"
  done
}

# The workers' own Python may be too old for the project; uv brings one.
install() {
  local lines=(
    "set -e"
    "test -x .local/bin/uv || curl -LsSf https://astral.sh/uv/install.sh | sh"
    "test -d genjax || git clone $(quoted "$repository") genjax"
    "cd genjax"
    "git fetch origin $(quoted "$ref")"
    "git checkout --detach FETCH_HEAD"
    "test -d .venv || ../.local/bin/uv venv --python $(quoted "$python") .venv"
    "../.local/bin/uv pip install -e '.[tpu]'"
  )
  on_all "$(printf '%s; ' "${lines[@]}")"
}

# Its exit code is 2 if a process has it, 0 if all have, 75 if none could tell, else one of theirs.
train() {
  local command output code=75 line arguments
  arguments=$(quoted --config="$config" --workdir="$workdir" "${overrides[@]}" --coordinator=auto)
  command="cd genjax && .venv/bin/python main.py $arguments; echo $mark \$?"
  if "$dry_run"; then
    on_all "$command"
    return
  fi
  output=$(mktemp)
  on_all "$command" 2>&1 | tee "$output" || true # the slice may be taken away meanwhile
  if grep -q "$mark" "$output"; then code=0; fi
  while read -r line; do
    [[ $code == 2 || $line == 0 ]] || code=$line
  done < <(sed -n "s/.*$mark \([0-9]*\).*/\1/p" "$output")
  rm "$output"
  return "$code"
}

# One attempt of `run`: on the slice that there is, or on a new one.
attempt() {
  local now
  now=$(state 2>/dev/null) || now=none
  if "$dry_run"; then printf '%s\n' "$now"; fi
  if [[ $now != ACTIVE ]]; then
    [[ $now == none ]] || delete || return 1 # its name is free only then
    create || return 1
    installed=false
  fi
  "$installed" || install || return 1
  installed=true
  train
}

# Attempts until the training is done, or cannot be without the user.
run_all() {
  local failed=0 code
  installed=false
  while :; do
    code=0
    attempt || code=$?
    case $code in
      0 | 2) return "$code" ;;
      75) failed=0 ;;
      *) ((++failed < failures)) || return "$code" ;;
    esac
    sleep "$poll"
  done
}

stop() { on_all "pkill -TERM -f '[m]ain.py --config'"; }

delete() { queued delete --force --quiet; }

case $verb in
  run) run_all ;;
  status) state ;;
  *) "$verb" ;;
esac
