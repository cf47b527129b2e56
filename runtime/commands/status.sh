#!/usr/bin/env bash
# Summary: Show what is running: state, memory, restarts, health, model, URLs
# Usage: ./console.sh status [--json]
#
# Exit status: 0 if everything that should run is running and answers, 3 if nothing runs, else 1.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  handle_help "$@"
  case "$*" in
    '' | --json) ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  init_supervision
  [ -x "$PYTHON_BIN" ] || die 'not installed yet' './console.sh start installs and starts it'
  py -m runtime.supervisor.status "$@"
}

main "$@"
