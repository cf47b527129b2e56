#!/usr/bin/env bash
# Summary: What the commands share about the running appliance: find it, start it, stop all of it.
#
# To be sourced after lib.sh and lock.sh. Owns supervisord's start and end and the search for what a
# killed one left behind; runtime/supervisor/client.py talks to a living one.

# Set MARK, CONTROL and what is needed to run Python. MARK stands in the command line of each of our
# processes; a number and not the path, since `ps` shows letters beyond ASCII as it likes.
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

make_dirs() {
  [ -n "${LLAMASERVE_LENIENT:-}" ] || refuse_foreign
  (umask 077 && mkdir -p "$RUN_DIR" "$LOG_DIR") || die "cannot write in $ROOT/runtime"
  local dir
  dir="$(dirname "$CONTROL")"
  [ -d "$dir" ] || mkdir -m 700 "$dir"
  [ -n "${LLAMASERVE_LENIENT:-}" ] || { [ ! -L "$dir" ] && [ -O "$dir" ]; } ||
    die "$dir, meant for the control socket, belongs to another user"
  chmod 700 "$RUN_DIR" "$LOG_DIR" "$dir"
}

# Files of root's in a user's appliance lock that user out, and the control socket may be elsewhere.
# To stop it is allowed.
refuse_foreign() {
  local owner
  [ -e "$RUN_DIR" ] && [ ! -O "$RUN_DIR" ] || return 0
  read -r _ _ owner _ <<<"$(ls -ld "$RUN_DIR")"
  die "this appliance is $owner's, and you are $(id -un)" "sudo -u '$owner' ./console.sh …" \
    "or, to take it over: ./console.sh stop, then chown -R '$(id -un)' '$ROOT/runtime'"
}

# py ARGUMENT…: the environment's Python, in the checkout, with its path in the right place.
py() { (cd "$ROOT" && exec "$PYTHON_BIN" "$@"); }

supervision() { py -m runtime.supervisor.client "$@"; }

# our_processes WORD: the numbers of this checkout's processes with WORD in the command line.
our_processes() {
  local pid
  for pid in $(marked_processes); do
    case "$(command_of "$pid")" in
      *"$MARK"*) case "$(command_of "$pid")" in *"$1"*) printf '%s\n' "$pid" ;; esac ;;
    esac
  done
}

# A first, quick choice; the search may find itself, which is gone when it is looked at again.
marked_processes() {
  if [ -r /proc/self/cmdline ]; then
    grep -lsF -- "$MARK" /proc/[0-9]*/cmdline | cut -d/ -f3 || :
  else
    pgrep -f -- "$MARK" || :
  fi
}

supervisord_runs() { [ -n "$(our_processes supervisor.supervisord)" ]; }

# read_config: set PROXY, LOCAL_SERVER, EMBEDDED (1 or 0) and what else the commands need of it.
# shellcheck disable=SC2034 # they are for the commands
read_config() {
  local values
  values="$(py -m runtime.config get LLAMA_PROXY_ENABLED uses_local_server uses_embedded_postgres \
    LLAMA_PROXY_HOST LLAMA_PROXY_PORT LLAMA_PROXY_DRAIN_SECONDS LLAMA_SERVER_START_SECONDS \
    LLAMA_SERVER_STOP_SECONDS backend_url)" ||
    exit 1
  {
    read -r PROXY && read -r LOCAL_SERVER && read -r EMBEDDED && read -r PROXY_HOST &&
      read -r PROXY_PORT && read -r DRAIN && read -r START_SECONDS && read -r SERVER_STOP &&
      read -r BACKEND_URL
  } <<<"$values"
  WANTED=''
  [ "$PROXY$EMBEDDED" != 11 ] || WANTED='postgres'
  [ "$LOCAL_SERVER" = 0 ] || WANTED="$WANTED server"
  [ "$PROXY" = 0 ] || WANTED="$WANTED proxy"
  # The part after the point counts as a whole second, and five are for the end of a drain.
  export LLAMASERVE_PROXY_STOP_SECONDS=$((${DRAIN%%.*} + 6))
  # Then it is killed: it may be where no signal reaches it.
  export LLAMASERVE_SERVER_STOP_SECONDS=$((${SERVER_STOP%%.*} + 5))
  # supervisord opens ports on IPv4 only, and at once: elsewhere it gets a socket that is not used.
  LLAMASERVE_PROXY_SOCKET="tcp://$PROXY_HOST:$PROXY_PORT"
  case "$PROXY:$PROXY_HOST" in
    0:* | *:*:*) LLAMASERVE_PROXY_SOCKET="unix://${CONTROL%/*}/unused" ;;
  esac
  export LLAMASERVE_PROXY_SOCKET LLAMASERVE_MARK="${MARK#*=}"
}

start_supervisord() {
  local status=0
  rm -f "$RUN_DIR"/*.starts
  printf '%s\n' "$LLAMASERVE_PROXY_SOCKET" "$LLAMASERVE_PROXY_STOP_SECONDS" "$DATA_DIR" \
    >"$RUN_DIR/started_with"
  (
    cd "$ROOT"
    umask 077
    "$PYTHON_BIN" -X "$MARK" -m supervisor.supervisord -c "$ROOT/runtime/supervisor/supervisord.conf" \
      </dev/null >"$LOG_DIR/supervisord.out" 2>&1
  ) || status=$?
  [ "$status" -eq 0 ] || die "supervisord did not start" "$(tail -n 5 "$LOG_DIR/supervisord.out")"
}

# end_process SECONDS PID…: TERM, then KILL for what is still there after that time.
end_process() {
  local deadline=$((SECONDS + $1)) pid
  shift
  [ $# -gt 0 ] || return 0
  kill "$@" 2>/dev/null || :
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      # A zombie, which has no command line, is as good as gone.
      [ -n "$(command_of "$pid")" ] || break
      [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || break
      sleep 0.1
    done
  done
}

# Stop everything there is, whatever state it is in: the proxy, the server, Postgres.
# Needs neither a good configuration nor a working Python environment.
stop_all() {
  local drain=36 data="$DATA_DIR" left
  if [ -f "$RUN_DIR/started_with" ]; then
    drain="$(sed -n 2p "$RUN_DIR/started_with")"
    data="$(sed -n 3p "$RUN_DIR/started_with")"
  fi
  # supervisord, on TERM, ends its programs in that order; the rest is for what it left behind.
  # shellcheck disable=SC2046 # several numbers
  {
    end_process $((drain + 60)) $(our_processes supervisor.supervisord)
    end_process "$drain" $(our_processes '-m proxy')
    end_process 1 $(our_processes 'program.sh proxy-1')
    end_process 10 $(our_processes '-m runtime.engine')
    end_process 5 $(our_processes 'runtime/supervisor/program.sh')
  }
  if [ -e "$data/postgres" ]; then
    LLAMA_DATA_DIR="$data" bash "$ROOT/runtime/postgres/control.sh" stop
  fi
  left="$(our_processes '')"
  [ -z "$left" ] || die "could not be stopped by $(id -un): process ${left//$'\n'/, }"
  rm -f "$CONTROL" "${CONTROL%/*}/unused" "$RUN_DIR"/supervisord.pid "$RUN_DIR"/*.starts "$RUN_DIR/hold_port"
}

# show_log NAME: the last lines of a program's log, and where the rest is; to stderr.
show_log() {
  local log="$LOG_DIR/$1.log"
  [ -s "$log" ] || return 0
  tail -n 15 "$log" | sed 's/^/  | /' >&2
  say "the whole log: $log"
}
