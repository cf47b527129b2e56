#!/usr/bin/env bash
# Summary: Stop the appliance: the dashboard, the proxy when its requests have ended, the server, Postgres
# Usage: ./console.sh stop
#
# Nothing is left running, even if supervisord was killed. A start, restart or use in progress is ended.
# Stopping an appliance that is not running is not an error.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  local holder
  handle_help "$@"
  [ $# -eq 0 ] || usage_error "unknown arguments: $*"
  export LLAMASERVE_LENIENT=1
  init_supervision
  make_dirs
  holder="$(lock_holder "$RUN_DIR/lock")"
  case "$holder" in
    *:start | *:restart | *:use) kill "${holder%%:*}" 2>/dev/null || : ;;
  esac
  trap 'release_lock "$RUN_DIR/lock"' EXIT
  take_lock "$RUN_DIR/lock" stop
  if [ -n "$(our_processes '')" ]; then
    say 'stopping'
  fi
  stop_all
  # Left by a switch that was ended: the next start is not one.
  rm -f "$DATA_DIR/model.before"
  # If the path of the control socket would be too long here, its directory is elsewhere.
  [ "${CONTROL%/*}" = "$RUN_DIR" ] || rmdir "${CONTROL%/*}" 2>/dev/null || :
  say 'stopped'
}

main "$@"
