#!/usr/bin/env bash
# Summary: Stop the appliance: the proxy, when its requests have ended, then the server, then Postgres
# Usage: ./console.sh stop
#
# Leaves nothing behind, also where supervisord was killed; a start or restart that is under way
# is ended. To stop what does not run is no error.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  local holder
  [ $# -eq 0 ] || usage_error "cannot be understood: $*"
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
  # Of a switch that was ended: the next start is none.
  rm -f "$DATA_DIR/model.before"
  # Where the control socket is elsewhere, since its path would be too long here.
  [ "${CONTROL%/*}" = "$RUN_DIR" ] || rmdir "${CONTROL%/*}" 2>/dev/null || :
  say 'stopped'
}

main "$@"
