# shellcheck shell=bash
# What the scripts share: their options, their errors, and printing instead of running.

dry_run=false
overrides=() # the --config.KEY=VALUE of the training
words=()     # arguments that are no options

# The comment at a script's top is its help.
usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; }

# A mistake of the user's: one line, exit code 2.
die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit 2
}

# parse "NAME ..." ARGUMENT...: sets the variable NAME of each --NAME=VALUE.
parse() {
  local known=" $1 " argument name
  shift
  for argument; do
    case $argument in
      --help | -h) usage && exit 0 ;;
      --dry-run) dry_run=true ;;
      --config.*=*) overrides+=("$argument") ;;
      --*=*)
        name=${argument%%=*}
        name=${name#--}
        [[ $known == *" $name "* ]] || die "--$name is unknown: see --help"
        printf -v "${name//-/_}" %s "${argument#*=}"
        ;;
      -*) die "$argument is not understood: options are --NAME=VALUE, see --help" ;;
      *) words+=("$argument") ;;
    esac
  done
}

# need NAME...: each has to have a value.
need() {
  local name variable
  for name; do
    variable=${name//-/_}
    [[ -n ${!variable} ]] || die "--$name=... is missing: see --help"
  done
}

# check NAME PATTERN WHAT: the value of a variable has to match a regular expression.
check() {
  local variable=${1//-/_}
  [[ ${!variable} =~ ^($2)$ ]] || die "--$1=${!variable} has to be $3"
}

# A command as one line that could be pasted, into any POSIX shell.
quoted() {
  local word line='' quote="'\\''"
  for word; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word="'${word//\'/"$quote"}'"
    line+=" $word"
  done
  printf '%s\n' "${line# }"
}

# Runs a command, or prints it in a dry run.
run() {
  if "$dry_run"; then quoted "$@"; else "$@"; fi
}
