#!/usr/bin/env bash
# Summary: Run the appliance in the foreground, for systemd and containers
# Usage: ./console.sh run [--model FILE]
#
# Starts everything, copies the logs to stdout, and stops everything on SIGTERM or SIGINT (exit status 0).
# Exit status 1 if the start fails or supervisord ends. A systemd unit needs KillMode=mixed and a
# TimeoutStopSec of at least LLAMA_PROXY_DRAIN_SECONDS + LLAMA_SERVER_STOP_SECONDS + 45.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

TAILS=''
STARTER=''
STOPPING=''

# Written in bash because mawk, the awk of many systems, waits for a full block instead of a line.
name_lines() {
  local line
  while IFS= read -r line; do printf '%s: %s\n' "$1" "$line"; done
}

# From the byte on that is next now: tail begins in the background, perhaps after the first lines.
follow_logs() {
  local name size
  for name in postgres server proxy dashboard; do
    (umask 077 && : >>"$LOG_DIR/$name.log")
    size="$(wc -c <"$LOG_DIR/$name.log")"
    tail -c "+$((size + 1))" -F "$LOG_DIR/$name.log" 2>/dev/null > >(name_lines "$name") &
    TAILS="$TAILS $!"
  done
}

# bash handles a signal while it waits for a background process, but not while a foreground one runs.
pause() {
  sleep 1 &
  wait $! || :
}

# shellcheck disable=SC2329 # the trap calls it
on_signal() {
  STOPPING=1
  [ -z "$STARTER" ] || kill "$STARTER" 2>/dev/null || :
}

main() {
  local status=0
  handle_help "$@"
  init_supervision
  make_dirs
  trap on_signal INT TERM
  follow_logs
  LLAMASERVE_RUN=1 bash "$ROOT/runtime/commands/start.sh" "$@" &
  STARTER=$!
  while kill -0 "$STARTER" 2>/dev/null; do wait "$STARTER" || status=$?; done
  STARTER=''
  while [ "$status" -eq 0 ] && [ -z "$STOPPING" ] && supervisord_runs; do pause; done
  # Also if the start failed: it has stopped what it started, and there is little left to do.
  bash "$ROOT/runtime/commands/stop.sh"
  # shellcheck disable=SC2086 # several numbers
  kill $TAILS 2>/dev/null || :
  [ -z "$STOPPING" ] || exit 0
  [ "$status" -eq 0 ] && die 'supervisord has ended'
  exit "$status"
}

main "$@"
