#!/usr/bin/env bash
# Summary: Find, start and end this checkout's processes, including those a killed supervisord left behind.
#
# Sourced by supervise.sh, whose `init_supervision` sets MARK and the paths that are used here.

# supervisord refuses to start with fewer open files than this (minfds in its own configuration).
OPEN_FILES=1024

# our_processes TEXT: print the pids of this checkout's processes that have TEXT in their command line.
our_processes() {
  local pid
  for pid in $(marked_processes); do
    case "$(command_of "$pid")" in
      *"$MARK"*) case "$(command_of "$pid")" in *"$1"*) printf '%s\n' "$pid" ;; esac ;;
    esac
  done
}

# Print the pids of a quick first selection. It may contain the search itself, which has ended by the time
# that our_processes looks at it again.
marked_processes() {
  if [ -r /proc/self/cmdline ]; then
    grep -lsF -- "$MARK" /proc/[0-9]*/cmdline | cut -d/ -f3 || :
  else
    pgrep -f -- "$MARK" || :
  fi
}

supervisord_runs() { [ -n "$(our_processes supervisor.supervisord)" ]; }

# Exit 1 if no process started from here may open as many files as supervisord needs. Root may raise the
# limit itself, which supervisord then does.
require_open_files() {
  (ulimit -n "$OPEN_FILES") 2>/dev/null ||
    die "a process may open $(ulimit -Hn) files here, and the appliance needs $OPEN_FILES" \
      'raise the limit, for example to 4096: ulimit -n 4096 (systemd: LimitNOFILE=4096)'
}

# allows HAVE LEAST: 0 if a limit is high enough.
allows() {
  case "$1:$2" in
    unlimited:*) ;;
    *:unlimited) return 1 ;;
    *) [ "$1" -ge "$2" ] ;;
  esac
}

# require_limit OPTION LEAST WHAT VALUE DIRECTIVE: raise a limit of this session (ulimit -OPTION) that is too low;
# exit 1 with the remedy if that is not allowed.
require_limit() {
  local least=' or more'
  ! allows "$(ulimit "-S$1")" "$2" || return 0
  # As an ordinary user, bash raises the limit as far as it can and calls that a success.
  ulimit "-S$1" "$2" 2>/dev/null || ulimit "-$1" "$2" 2>/dev/null || :
  [ "$2" != unlimited ] || least=''
  allows "$(ulimit "-S$1")" "$2" ||
    die "$3 is limited to $(ulimit "-S$1") here, and must be $2$least" \
      "raise the limit: ulimit -$1 $4 (systemd: $5)"
}

# Exit 1 if PostgreSQL or Python would be killed, or could not start, by this session's limits.
require_limits() {
  require_limit s 1024 'the stack of a process (in KiB)' 8192 LimitSTACK=8M
  require_limit f 2097152 'the size of a file (in KiB)' unlimited LimitFSIZE=infinity
  require_limit t unlimited 'the processor time of a process (in seconds)' unlimited LimitCPU=infinity
  # Root has no such limit.
  [ "$(id -u)" -eq 0 ] ||
    require_limit u 128 'the number of processes and threads of a user' 1024 LimitNPROC=1024
}

start_supervisord() {
  local status=0
  require_open_files
  rm -f "$RUN_DIR"/*.starts
  printf '%s\n' "$LLAMASERVE_PROXY_SOCKET" "$LLAMASERVE_PROXY_STOP_SECONDS" "$DATA_DIR" \
    >"$RUN_DIR/started_with"
  (
    cd "$ROOT"
    umask 077
    with_default_signals "$PYTHON_BIN" -X "$MARK" -m supervisor.supervisord \
      -c "$ROOT/runtime/supervisor/supervisord.conf" \
      </dev/null >"$LOG_DIR/supervisord.out" 2>&1
  ) || status=$?
  [ "$status" -eq 0 ] || die "supervisord did not start" "$(tail -n 5 "$LOG_DIR/supervisord.out")"
}

# end_process SECONDS PID…: send TERM, then KILL to those that still exist after that time.
end_process() {
  local deadline=$((SECONDS + $1)) pid
  shift
  [ $# -gt 0 ] || return 0
  kill "$@" 2>/dev/null || :
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      # A zombie, which has no command line, counts as ended.
      [ -n "$(command_of "$pid")" ] || break
      [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || break
      sleep 0.1
    done
  done
}

# Stop everything in whatever state it is: the proxy, the server, Postgres.
# Needs neither a valid configuration nor a working Python environment.
stop_all() {
  local drain=36 data="$DATA_DIR" left
  if [ -f "$RUN_DIR/started_with" ]; then
    drain="$(sed -n 2p "$RUN_DIR/started_with")"
    data="$(sed -n 3p "$RUN_DIR/started_with")"
  fi
  # A full disk leaves the file empty.
  case "$drain" in '' | *[!0-9]*) drain=36 ;; esac
  [ -n "$data" ] || data="$DATA_DIR"
  # On TERM supervisord ends its programs in this order. The further calls end what a killed one left behind.
  # shellcheck disable=SC2046 # several pids
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
