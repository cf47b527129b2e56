#!/usr/bin/env bash
# Summary: Become one of the supervised programs; called by runtime/supervisor/supervisord.conf.
# Usage: runtime/supervisor/program.sh postgres|server|proxy-0|proxy-1|dashboard llamaserve=MARK
#
# MARK stands in each program's command line, so that the programs that a killed supervisord leaves behind
# can be found (our_processes in runtime/supervisor/processes.sh).
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

become_proxy() {
  case "$LLAMASERVE_PROXY_SOCKET" in
    tcp:*) export LLAMASERVE_LISTEN_FD=0 ;;
  esac
  # aiohttp keeps its signals in such lists, which the proxy does not use: the C++ version takes 1 MB.
  export FROZENLIST_NO_EXTENSIONS=1
  # Announces a restart of the server. Until the proxy has its own handler, it must not end the process.
  trap '' USR1
  exec "$VENV_DIR/bin/python" -X "$1" -m proxy
}

# Keep descriptor 0, which is the proxy's port, open and do nothing: nobody writes to the pipe.
hold_port() {
  local pipe="$RUN_DIR/hold_port"
  [ -p "$pipe" ] || mkfifo "$pipe"
  read -r _ <>"$pipe"
}

main() {
  handle_help "$@"
  [ $# -eq 2 ] || usage_error 'only supervisord calls this'
  load_paths
  cd "$ROOT"
  # One character for each start: `status` shows how often the program was restarted.
  printf . >>"$RUN_DIR/$1.starts"
  case "$1" in
    postgres) exec bash runtime/postgres/control.sh run ;;
    server) exec "$VENV_DIR/bin/python" -X "$2" -m runtime.engine --selected ;;
    proxy-0) become_proxy "$2" ;;
    proxy-1) hold_port ;;
    dashboard) exec "$VENV_DIR/bin/python" -X "$2" -m proxy.dashboard ;;
    *) usage_error "unknown program: $1" ;;
  esac
}

main "$@"
