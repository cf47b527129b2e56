#!/usr/bin/env bash
# Summary: Show what runs and how it is: state, memory, restarts, health, model, URLs
# Usage: ./console.sh status [--json]
#
# Ends with 0 when all that should be up is up and answers, with 3 when nothing runs, else with 1.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  case "$*" in
    '' | --json) ;;
    *) usage_error "cannot be understood: $*" ;;
  esac
  init_supervision
  [ -x "$PYTHON_BIN" ] || die 'not installed yet' './console.sh start installs and starts it'
  py -m runtime.supervisor.status "$@"
}

main "$@"
