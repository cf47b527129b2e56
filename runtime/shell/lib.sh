#!/usr/bin/env bash
# Summary: What the shell scripts share: messages, checks, the reading of KEY=VALUE files, the paths.
#
# To be sourced. Sets ROOT, the checkout; `load_paths` sets the other paths.
# Owns the shell's side of the configuration files' form: `parse_env` in runtime/config/env_file.py reads the
# same strict subset, and tests/runtime/config/test_config.py puts one set of cases to both.

# Never taken from the environment: one checkout's console may run another's (the tests do).
ROOT="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"

# Messages go to stderr, so that results alone are on stdout.
say() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# Say why and end with 1. Further arguments are further lines, such as the command that mends it.
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

# header_of FILE NAME: the value of the `# NAME:` header, with its `#   …` continuation lines.
header_of() {
  local line text found=''
  while IFS= read -r line; do
    case "$line" in
      "# $2: "*) found=1 text="${line#"# $2: "}" ;;
      '#   '*) [ -n "$found" ] || continue && text="${line#'#   '}" ;;
      *)
        [ -z "$found" ] || return 0
        continue
        ;;
    esac
    printf '%s\n' "$text"
  done <"$1"
}

# A call that cannot be understood: why, the running script's `# Usage:`, exit 2.
usage_error() {
  printf 'error: %s\n' "$*" >&2
  header_of "$0" Usage | sed -e '1s/^/usage: /' -e '2,$s/^/       /' >&2
  exit 2
}

# need_cmd COMMAND REMEDY: end with the remedy where the command is missing.
need_cmd() {
  command -v "$1" >/dev/null 2>&1 || die "the command '$1' is needed and was not found" "${2:-install it}"
}

# command_of PID: the command line of a process; nothing when there is none. Slim containers have no ps.
command_of() {
  if [ -r /proc/self/cmdline ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || :
  else
    ps -ww -o command= -p "$1" 2>/dev/null | sed '/^(.*)$/d; /<defunct>/d' || :
  fi
}

# load_env FILE: export our own keys (LLAMA_*, POSTGRES_AUTH_*) that the environment does not have.
#
# Of several lines for a key the last wins. A missing file is an empty one; a line of another form
# ends the script with FILE:LINE, without showing the line, which may hold a secret. Where
# LLAMASERVE_LENIENT is set it is passed over: a stop must not fail for a slip of the pen.
load_env() {
  local LC_ALL=C file="$1" where="${1#"$ROOT"/}" line number=0 name value seen=' ' bad=''
  # shellcheck disable=SC2016 # the $ and ` stand for themselves
  local form='^[[:blank:]]*([A-Za-z_][A-Za-z0-9_]*)=('\''[^'\''\]*'\''|"[^"\$`]*"|[^[:space:]'\''"\$`#]*)([[:blank:]]+#.*)?[[:blank:]]*$'
  local unused=$'^[ \t]*(#([^[:cntrl:]]|\t)*)?$'
  [ -e "$file" ] || return 0
  [ -r "$file" ] || [ -z "${LLAMASERVE_LENIENT:-}" ] || return 0
  [ -r "$file" ] || die "$where: cannot be read"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    line="${line%$'\r'}"
    if [[ $line =~ $unused ]]; then continue; fi
    if [[ ${line//$'\t'/} =~ [[:cntrl:]] ]] || ! [[ $line =~ $form ]]; then
      printf 'error: %s:%s: not of the form KEY=VALUE (%s)\n' "$where" "$number" \
        "put a value with blanks, quotes, '#' or '\$' in single quotes; no 'export'" >&2
      bad=1
      continue
    fi
    name="${BASH_REMATCH[1]}" value="${BASH_REMATCH[2]}"
    case "$name" in LLAMA_* | POSTGRES_AUTH_*) ;; *) continue ;; esac
    case "$value" in [\'\"]*) value="${value:1:${#value}-2}" ;; esac
    # Set in the environment or by a file read before this one: that wins.
    case "$seen" in *" $name "*) ;; *) [ -z "${!name+set}" ] || continue ;; esac
    seen="$seen$name "
    export "$name=$value"
  done <"$file"
  [ -z "$bad" ] || [ -n "${LLAMASERVE_LENIENT:-}" ] || exit 1
}

# absolute PATH: a leading ~ is the home; a relative path counts from the checkout.
absolute() {
  case "$1" in
    \~) printf '%s' "$HOME" ;;
    \~/*) printf '%s' "$HOME/${1#\~/}" ;;
    /*) printf '%s' "$1" ;;
    *) printf '%s' "$ROOT/$1" ;;
  esac
}

# shellcheck disable=SC2034 # they are for the scripts that source this one
# Set RUN_DIR, LOG_DIR, DATA_DIR and VENV_DIR from the environment, .env, runtime/config.env.
#
# The files are read in a subshell: what they hold must not get into the environment of what is
# started, where it would outlive a change of the file.
load_paths() {
  local found
  found="$(
    load_env "$ROOT/.env"
    load_env "$ROOT/runtime/config.env"
    printf '%s\n%s\n' "$(absolute "${LLAMA_DATA_DIR:-runtime/data}")" \
      "$(absolute "${LLAMA_VENV_DIR:-runtime/.venv}")"
  )" || exit 1
  RUN_DIR="$ROOT/runtime/run"
  LOG_DIR="$ROOT/runtime/logs"
  DATA_DIR="${found%%$'\n'*}"
  VENV_DIR="${found#*$'\n'}"
}
