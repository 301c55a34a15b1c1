#!/usr/bin/env bash
# Trains on plain machines over ssh: one process a host, which takes all of its devices.
#
#   scripts/ssh_hosts.sh --hosts=A,B,... --config=FILE[:ARG] --workdir=DIR [OPTION ...]
#                        [--config.KEY=VALUE ...]
#
# Ctrl-C, SIGTERM and the loss of the connection have all processes save and end; the same command
# goes on. A second Ctrl-C waits for nobody.
#
# Options:
#   --hosts=A,B,...       [USER@]HOST each; ssh has to need no password
#   --hosts-file=FILE     the same, one a line
#   --config=FILE[:ARG]   what to train
#   --workdir=DIR         where: a folder that all hosts see, or gs://...
#   --coordinator=HOST    as the others reach the first host; by default as ssh does
#   --port=8476           of it, open to the others
#   --directory=DIR       of the code on all hosts; by default where this script is
#   --python=python       with the project installed, on all hosts
#   --dry-run             prints the commands and runs none
#
# Exit code: 0 done; 2 yours to mend; 75 interrupted and saved; 1 anything else.

set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

hosts='' hosts_file='' config='' workdir='' coordinator='' port=8476 python=python
directory=$(cd "$(dirname "$0")/.." && pwd)
parse "hosts hosts-file config workdir coordinator port directory python" "$@"

((${#words[@]} == 0)) || die "${words[0]} is not understood: see --help"
need config workdir directory python
[[ -z $hosts || -z $hosts_file ]] || die "--hosts and --hosts-file are two ways to say one thing"
if [[ -n $hosts_file ]]; then
  [[ -r $hosts_file ]] || die "--hosts-file=$hosts_file cannot be read"
  hosts=$(grep -v '^[[:space:]]*\(#\|$\)' "$hosts_file" | paste -sd, -) || true
fi
need hosts
check port '[1-9][0-9]{0,4}' "a port number"
IFS=, read -ra all <<<"$hosts"
for host in "${all[@]}"; do
  [[ $host =~ ^[A-Za-z0-9_.:@-]+$ && $host != -* ]] || die "'$host' is no [USER@]HOST"
done
coordinator=${coordinator:-${all[0]#*@}}

# What process $1 is started with. Its standard input is the launcher: where that ends, it is told
# to save. Standard input of a command in the background would be empty, hence number 3.
remote() {
  local command
  command=$(quoted "$python" main.py --config="$config" --workdir="$workdir" "${overrides[@]}" \
    --coordinator="$coordinator:$port" --processes="${#all[@]}" --process_id="$1")
  quoted bash -c "cd $(quoted "$directory") || exit 2; exec 3<&0; $command 3<&- & main=\$!; \
{ read -r -u 3; kill -TERM \$main; } 2>/dev/null & watch=\$!; \
code=0; wait \$main || code=\$?; kill -KILL \$watch 2>/dev/null; exit \$code"
}

prefix() {
  local line
  while IFS= read -r line || [[ -n $line ]]; do printf '[%s] %s\n' "$1" "$line"; done
}

if "$dry_run"; then
  for i in "${!all[@]}"; do quoted ssh -o BatchMode=yes "${all[i]}" "$(remote "$i")"; done
  exit
fi

pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
writers=() processes=() signalled=false asked=false

# The first signal ends the processes' standard input, a second one the launcher at once.
# shellcheck disable=SC2317  # the trap calls it
stop() {
  signalled=true
  if "$asked"; then exit 1; fi
  asked=true
  echo "stopping: all processes save and end" >&2
  local writer
  for writer in "${writers[@]}"; do exec {writer}>&-; done
}
trap stop INT TERM HUP

for i in "${!all[@]}"; do
  mkfifo "$pipes/$i"
  (
    trap - EXIT
    trap '' INT TERM HUP # which may be sent to all of them at once: the launcher answers
    # An end of a pipe that stays open here would hide that the launcher is gone.
    for writer in "${writers[@]}"; do exec {writer}>&-; done
    set +e
    ssh -o BatchMode=yes "${all[i]}" "$(remote "$i")" 2>&1 | prefix "${all[i]}"
    exit "${PIPESTATUS[0]}"
  ) <"$pipes/$i" &
  processes+=($!)
  exec {writer}>"$pipes/$i"
  writers+=("$writer")
done

# One failure names itself; exit code 75 is left for where all have saved.
result=0
for i in "${!all[@]}"; do
  code=0
  wait "${processes[i]}" || code=$?
  while "$signalled"; do # the signal ended the wait, and not the process
    signalled=false
    after=0
    wait "${processes[i]}" || after=$?
    ((after == 127)) || code=$after
  done
  ((code == 0)) || printf '[%s] ended with exit code %s\n' "${all[i]}" "$code" >&2
  case $code in
    0) ;;
    2) result=2 ;;
    75) ((result)) || result=75 ;;
    *) ((result == 2)) || result=1 ;;
  esac
done
exit "$result"
