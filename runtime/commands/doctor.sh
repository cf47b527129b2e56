#!/usr/bin/env bash
# Summary: Find problems and show how to fix them
# Usage: ./console.sh doctor [--json]
#
# Each finding is ok, a note, a warning or a problem, followed by what to do. Exit status: 1 if there is a
# problem, else 0. Nothing is changed; neither a valid configuration nor a running appliance is needed.
#
# --json prints {"ok": BOOLEAN, "findings": [{"group", "check", "level", "text", "remedy"}, …]}; all are
# strings, but remedy may be null. Groups, checks and levels are stable: installation (python, packages,
# engine, gpu), configuration (keys, addresses, certificate, permissions), machine (disk, open_files, spool,
# clock), model (files, chosen), service (ports, processes, ready, database). A check may have several
# findings, or none.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/python.sh
. "$ROOT/runtime/shell/python.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

# as_json TEXT: print the text as the content of a JSON string.
as_json() {
  local text="${1//\\/\\\\}"
  text="${text//\"/\\\"}"
  text="${text//$'\n'/ }"
  printf '%s' "${text//[[:cntrl:]]/}"
}

# report_problem FORM CHECK TEXT REMEDY: print this one finding in the same two forms and exit 1. Used if Python
# cannot examine anything.
report_problem() {
  if [ "$1" = --json ]; then
    printf '{"ok": false, "findings": [{"group": "installation", "check": "%s", "level": "problem", ' "$2"
    printf '"text": "%s", "remedy": "%s"}]}\n' "$(as_json "$3")" "$(as_json "$4")"
  else
    printf 'installation\n  problem  %s\n           → %s\n\n1 problem\n' "$3" "$4"
  fi
  exit 1
}

# Report that the environment is missing, or that there is no Python to make one with.
examine_without_environment() {
  local found
  found="$(find_python 2>&1)" ||
    report_problem "$1" python 'no Python 3.11 or newer (with its venv module) was found' \
      "$(printf '%s\n' "$found" | sed -n '2s/^ *//p')"
  report_problem "$1" python "there is no Python environment in $VENV_DIR" './console.sh start creates it'
}

main() {
  handle_help "$@"
  case "$*" in
    '' | --json) ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  # A bad line in a configuration file is a finding; it must not end the examination.
  export LLAMASERVE_LENIENT=1
  init_supervision
  "$PYTHON_BIN" -c '' 2>/dev/null || examine_without_environment "${1-}"
  has_modules "$PYTHON_BIN" dotenv psycopg psycopg_binary passlib psutil supervisor ||
    report_problem "${1-}" packages "the Python environment in $VENV_DIR is incomplete" \
      "rm -f '$VENV_DIR/llamaserve-installed' && ./console.sh start"
  py -m runtime.doctor "$@"
}

main "$@"
