#!/usr/bin/env bash
# Summary: Functions that commands share: set the appliance's paths, read the configuration, call Python.
#
# To be sourced after lib.sh. The room runtime/supervisor/ starts, watches and stops the appliance's
# programs; runtime/commands/ is its front door. Processes are found and ended by processes.sh, which this
# file sources; client.py talks to a running supervisord.

# shellcheck source=runtime/supervisor/processes.sh
. "$ROOT/runtime/supervisor/processes.sh"

# Set PYTHON_BIN, CONTROL, MARK and the paths of load_paths.
#
# MARK stands in the command line of each of our processes. It is a number instead of the path, since `ps`
# does not show letters beyond ASCII reliably.
init_supervision() {
  local sum bytes
  load_paths
  PYTHON_BIN="$VENV_DIR/bin/python"
  read -r sum bytes <<<"$(printf '%s' "$ROOT" | cksum)"
  MARK="llamaserve=$sum-$bytes"
  CONTROL="$RUN_DIR/supervisor.sock"
  # supervisord first binds PATH.PID; the shortest limit on a socket's path is 104 bytes (macOS).
  [ "$(printf '%s' "$CONTROL" | wc -c)" -le 90 ] || CONTROL="/tmp/llamaserve-$(id -u)-$sum-$bytes/control"
  export LLAMASERVE_CONTROL="$CONTROL"
}

# Create and check the directories of logs, pids and the control socket.
make_dirs() {
  local dir
  [ -n "${LLAMASERVE_LENIENT:-}" ] || refuse_foreign
  (umask 077 && mkdir -p "$RUN_DIR" "$LOG_DIR") || die "cannot write in $ROOT/runtime"
  require_writable "$RUN_DIR"
  require_writable "$LOG_DIR"
  dir="$(dirname "$CONTROL")"
  [ -d "$dir" ] || mkdir -m 700 "$dir"
  [ -n "${LLAMASERVE_LENIENT:-}" ] || { [ ! -L "$dir" ] && [ -O "$dir" ]; } ||
    die "the directory of the control socket, $dir, belongs to another user"
  chmod 700 "$RUN_DIR" "$LOG_DIR" "$dir" || [ -n "${LLAMASERVE_LENIENT:-}" ]
}

# Exit 1 if another user runs this checkout's appliance: files written by root would lock that user out,
# and the control socket may have another path. Stopping the appliance is allowed (LLAMASERVE_LENIENT).
refuse_foreign() {
  local owner
  [ -e "$RUN_DIR" ] && [ ! -O "$RUN_DIR" ] || return 0
  read -r _ _ owner _ <<<"$(ls -ld "$RUN_DIR")"
  die "this appliance is $owner's, and you are $(id -un)" "sudo -u '$owner' ./console.sh …" \
    "or, to take it over: ./console.sh stop, then chown -R '$(id -un)' '$ROOT/runtime'"
}

# py ARGUMENT…: run the environment's Python in the checkout.
py() { (cd "$ROOT" && exec "$PYTHON_BIN" "$@"); }

# with_default_signals COMMAND [ARGUMENT…]: run a command that no signal is kept from by what called us.
with_default_signals() { py -m runtime.supervisor.default_signals "$@"; }

# supervision COMMAND [ARGUMENT…]: control supervisord's programs (runtime/supervisor/__main__.py).
supervision() { py -m runtime.supervisor "$@"; }

# read_config: set PROXY, LOCAL_SERVER, EMBEDDED, DASHBOARD (1 or 0), WANTED (the programs to run) and other settings.
# shellcheck disable=SC2034 # the commands use them
read_config() {
  local values
  values="$(py -m runtime.config get LLAMA_PROXY_ENABLED uses_local_server uses_embedded_postgres \
    LLAMA_PROXY_HOST LLAMA_PROXY_PORT LLAMA_PROXY_DRAIN_SECONDS LLAMA_SERVER_START_SECONDS \
    LLAMA_SERVER_STOP_SECONDS backend_url runs_dashboard)" ||
    exit 1
  {
    read -r PROXY && read -r LOCAL_SERVER && read -r EMBEDDED && read -r PROXY_HOST &&
      read -r PROXY_PORT && read -r DRAIN && read -r START_SECONDS && read -r SERVER_STOP &&
      read -r BACKEND_URL && read -r DASHBOARD
  } <<<"$values"
  WANTED=''
  [ "$PROXY$EMBEDDED" != 11 ] || WANTED='postgres'
  [ "$LOCAL_SERVER" = 0 ] || WANTED="$WANTED server"
  [ "$PROXY" = 0 ] || WANTED="$WANTED proxy"
  [ "$DASHBOARD" = 0 ] || WANTED="$WANTED dashboard"
  # A fraction counts as a whole second, and the end of a drain may take five more.
  export LLAMASERVE_PROXY_STOP_SECONDS=$((${DRAIN%%.*} + 6))
  # supervisord kills the server after that: it may be in a state in which it ignores signals.
  export LLAMASERVE_SERVER_STOP_SECONDS=$((${SERVER_STOP%%.*} + 5))
  # supervisord can open a port on IPv4 only, and opens it at once. Otherwise it gets an unused socket.
  LLAMASERVE_PROXY_SOCKET="tcp://$PROXY_HOST:$PROXY_PORT"
  case "$PROXY:$PROXY_HOST" in
    0:* | *:*:*) LLAMASERVE_PROXY_SOCKET="unix://${CONTROL%/*}/unused" ;;
  esac
  export LLAMASERVE_PROXY_SOCKET LLAMASERVE_MARK="${MARK#*=}"
}

# show_log NAME: print the last lines of a program's log, and its path, on stderr.
show_log() {
  local log="$LOG_DIR/$1.log"
  [ -s "$log" ] || return 0
  tail -n 15 "$log" | sed 's/^/  | /' >&2
  say "the whole log: $log"
}
