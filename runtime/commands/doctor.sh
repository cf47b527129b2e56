#!/usr/bin/env bash
# Summary: Examine the installation and tell what is wrong and what mends it
# Usage: ./console.sh doctor [--json]
#
# Each finding is ok, a note, a warning or a problem; below it stands what to do. Ends with 1 where there
# is a problem, else with 0. Changes nothing, needs neither a good configuration nor a running appliance.
#
# --json: {"ok": BOOLEAN, "findings": [{"group", "check", "level", "text", "remedy"}, …]}, strings but for a
# remedy of null. Groups, checks and levels are stable: installation (python, packages, engine, gpu),
# configuration (keys, addresses, certificate, permissions), machine (disk, clock), model (files, chosen),
# service (ports, processes, ready, database). A check may have several findings, or none.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/python.sh
. "$ROOT/runtime/shell/python.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

# as_json TEXT: within a JSON string.
as_json() {
  local text="${1//\\/\\\\}"
  text="${text//\"/\\\"}"
  text="${text//$'\n'/ }"
  printf '%s' "${text//[[:cntrl:]]/}"
}

# Where Python cannot examine anything: one finding, in the same two forms, and the end.
tell_problem() {
  if [ "$1" = --json ]; then
    printf '{"ok": false, "findings": [{"group": "installation", "check": "%s", "level": "problem", ' "$2"
    printf '"text": "%s", "remedy": "%s"}]}\n' "$(as_json "$3")" "$(as_json "$4")"
  else
    printf 'installation\n  problem  %s\n           → %s\n\n1 problem\n' "$3" "$4"
  fi
  exit 1
}

# Without an environment: is there what one is made of?
examine_without_environment() {
  local found
  found="$(find_python 2>&1)" ||
    tell_problem "$1" python 'no Python 3.11 or newer (with its venv module) was found' \
      "$(printf '%s\n' "$found" | sed -n '2s/^ *//p')"
  tell_problem "$1" python "there is no Python environment in $VENV_DIR" './console.sh start makes it'
}

main() {
  case "$*" in
    '' | --json) ;;
    *) usage_error "cannot be understood: $*" ;;
  esac
  # A slip of the pen in a file is a finding, not the end.
  export LLAMASERVE_LENIENT=1
  init_supervision
  "$PYTHON_BIN" -c '' 2>/dev/null || examine_without_environment "${1-}"
  has_modules "$PYTHON_BIN" dotenv psycopg psycopg_binary passlib psutil supervisor ||
    tell_problem "${1-}" packages "the Python environment in $VENV_DIR is not complete" \
      "rm -f '$VENV_DIR/llamaserve-installed' && ./console.sh start"
  py -m runtime.doctor "$@"
}

main "$@"
