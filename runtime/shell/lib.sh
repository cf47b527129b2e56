#!/usr/bin/env bash
# Summary: Functions that all shell scripts share: messages, help, KEY=VALUE files, paths.
#
# To be sourced. Sets ROOT, the checkout's directory; `load_paths` sets the other paths. The room runtime/shell/
# holds what any script may source, and knows nothing of the appliance's processes.
# `load_env` reads the same strict KEY=VALUE subset as `parse_env` in runtime/config/env_file.py;
# tests/runtime/config/test_config.py runs one set of cases against both.

# Not taken from the environment: the console of one checkout may call that of another (the tests do).
ROOT="$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)"
# shellcheck source=runtime/shell/inherited.sh
. "$ROOT/runtime/shell/inherited.sh"
# Messages go to stderr: stdout carries results only.
say() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# die MESSAGE [LINE…]: print the message and further lines, such as the command that helps; exit 1.
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

# header_of FILE NAME: print the value of the `# NAME:` header with its `#   …` continuation lines.
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

# show_header FILE: print the comment at the top of a script, which is its documentation.
show_header() {
  sed -n -e '1d' -e '/^#/!q' -e '/^# shellcheck /d' -e 's/^# \{0,1\}//' -e 's/^Summary: //' -e p "$1"
}

# handle_help ARGUMENT…: print the running script's documentation and exit 0 if the first is -h or --help.
handle_help() {
  case "${1-}" in
    -h | --help)
      show_header "$0"
      exit 0
      ;;
  esac
}

# usage_error MESSAGE: print why the arguments are refused and the script's `# Usage:`; exit 2.
usage_error() {
  printf 'error: %s\n' "$*" >&2
  header_of "$0" Usage | sed -e '1s/^/usage: /' -e '2,$s/^/       /' >&2
  exit 2
}

# require_writable DIRECTORY: exit 1 with the reason if no file can be written there: a missing right, a
# read-only file system, a full disk. Nothing is checked with LLAMASERVE_LENIENT set.
require_writable() {
  local probe="$1/.write-test.$$" reason
  [ -z "${LLAMASERVE_LENIENT:-}" ] || return 0
  # 4096 bytes: an empty file needs no space.
  if reason="$({ printf '%4096s' '' >"$probe"; } 2>&1)"; then
    rm -f "$probe"
    return
  fi
  rm -f "$probe"
  die "cannot write in $1: ${reason##*: }" "this user needs the right to write there, and the disk needs free space"
}

# command_of PID: print a process's command line; nothing if there is no such process. From /proc where
# there is one: slim containers have no ps.
command_of() {
  if [ -r /proc/self/cmdline ]; then
    { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null || :
  else
    ps -ww -o command= -p "$1" 2>/dev/null | sed '/^(.*)$/d; /<defunct>/d' || :
  fi
}

# load_env FILE: export the file's LLAMA_* and POSTGRES_AUTH_* keys that the environment does not set.
#
# The last of several lines for one key wins. A missing file counts as empty. A line in another form ends
# the script with FILE:LINE; the line itself is not shown, since it may hold a secret. With
# LLAMASERVE_LENIENT set, such lines are skipped: a typing error must not prevent a stop.
load_env() {
  local LC_ALL=C file="$1" where="${1#"$ROOT"/}" line number=0 name value seen=' ' bad=''
  # shellcheck disable=SC2016 # the $ and ` are literal
  local form='^[[:blank:]]*([A-Za-z_][A-Za-z0-9_]*)=('\''[^'\''\]*'\''|"[^"\$`]*"|[^[:space:]'\''"\$`#]*)([[:blank:]]+#.*)?[[:blank:]]*$'
  local unused=$'^[ \t]*(#([^[:cntrl:]]|\t)*)?$'
  [ -e "$file" ] || return 0
  [ -r "$file" ] || [ -z "${LLAMASERVE_LENIENT:-}" ] || return 0
  [ -r "$file" ] || die "$where: cannot be read"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    # Editors on Windows put a byte order mark before the first line.
    [ "$number" -gt 1 ] || line="${line#$'\xef\xbb\xbf'}"
    line="${line%$'\r'}"
    if [[ $line =~ $unused ]]; then continue; fi
    if [[ ${line//$'\t'/} =~ [[:cntrl:]] ]] || ! [[ $line =~ $form ]]; then
      printf 'error: %s:%s: not in the form KEY=VALUE (%s)\n' "$where" "$number" \
        "put a value with blanks, quotes, '#' or '\$' in single quotes; no 'export'" >&2
      bad=1
      continue
    fi
    name="${BASH_REMATCH[1]}" value="${BASH_REMATCH[2]}"
    case "$name" in LLAMA_* | POSTGRES_AUTH_*) ;; *) continue ;; esac
    case "$value" in [\'\"]*) value="${value:1:${#value}-2}" ;; esac
    # A value from the environment, or from a file that was read before this one, wins.
    case "$seen" in *" $name "*) ;; *) [ -z "${!name+set}" ] || continue ;; esac
    seen="$seen$name "
    export "$name=$value"
  done <"$file"
  [ -z "$bad" ] || [ -n "${LLAMASERVE_LENIENT:-}" ] || exit 1
}

# absolute PATH: print it as an absolute path. ~ is the home directory; relative paths start at ROOT.
absolute() {
  case "$1" in
    \~) printf '%s' "$HOME" ;;
    \~/*) printf '%s' "$HOME/${1#\~/}" ;;
    /*) printf '%s' "$1" ;;
    *) printf '%s' "$ROOT/$1" ;;
  esac
}

# Set RUN_DIR, LOG_DIR, DATA_DIR and VENV_DIR from the environment, .env and runtime/config.env.
#
# The files are read in a subshell: their values must not enter the environment of the programs that are
# started, which would keep them after the file has changed.
# shellcheck disable=SC2034 # the scripts that source this one use them
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
