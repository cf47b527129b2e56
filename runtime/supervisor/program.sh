#!/usr/bin/env bash
# Summary: Become one of the supervised programs; runtime/supervisor/supervisord.conf calls it.
# Usage: runtime/supervisor/program.sh postgres|server|proxy-0|proxy-1 llamaserve=MARK
#
# The mark stands in each program's command line, so that what a killed supervisord leaves behind can
# be found (our_processes in runtime/supervisor/supervise.sh).
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

become_proxy() {
  case "$LLAMASERVE_PROXY_SOCKET" in
    tcp:*) export LLAMASERVE_LISTEN_FD=0 ;;
  esac
  # aiohttp's signals are lists of this kind, which the proxy does not use: in C++ they bring 1 MB.
  export FROZENLIST_NO_EXTENSIONS=1
  # Sent before the server is restarted; until the proxy handles it, it must not end it.
  trap '' USR1
  exec "$VENV_DIR/bin/python" -X "$1" -m proxy
}

# Keep descriptor 0 open, which is the proxy's port, and do nothing: nobody writes to the pipe.
hold_port() {
  local pipe="$RUN_DIR/hold_port"
  [ -p "$pipe" ] || mkfifo "$pipe"
  read -r _ <>"$pipe"
}

main() {
  [ $# -eq 2 ] || usage_error 'called by supervisord only'
  load_paths
  cd "$ROOT"
  # One character for each start, from which `status` tells how often it came back.
  printf . >>"$RUN_DIR/$1.starts"
  case "$1" in
    postgres) exec bash runtime/postgres/control.sh run ;;
    server) exec "$VENV_DIR/bin/python" -X "$2" -m runtime.engine --selected ;;
    proxy-0) become_proxy "$2" ;;
    proxy-1) hold_port ;;
    *) usage_error "unknown program: $1" ;;
  esac
}

main "$@"
