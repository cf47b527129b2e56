#!/usr/bin/env bash
# Summary: Run a long step of an installation with its output in a log, and show its progress.
#
# Sourced by engine_build.sh. LOG_DIR is set by load_paths in runtime/shell/lib.sh.

# fail_with_log MESSAGE [REMEDY]: print the last lines of the installation's log and exit 1.
fail_with_log() {
  tail -n 20 "$LOG_DIR/install.log" | sed 's/^/  | /' >&2
  die "$@" "the whole log: $LOG_DIR/install.log"
}

# run_logged WHAT COMMAND…: run the command with its output in the log, and show the time that it has taken:
# one line that counts on a terminal, otherwise a line every 20 seconds.
run_logged() {
  local what="$1" pid status=0 began="$SECONDS" last="$SECONDS"
  shift
  printf '\n== %s: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$what" >>"$LOG_DIR/install.log"
  # -m gives it its own process group, so that an interrupted installation leaves no compiler running.
  set -m
  "$@" >>"$LOG_DIR/install.log" 2>&1 </dev/null &
  pid=$!
  set +m
  trap 'kill -- "-$pid" 2>/dev/null; exit 1' INT TERM
  [ -t 2 ] || say "$what"
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -t 2 ]; then
      printf '\r%s … %s' "$what" "$(elapsed "$began")" >&2
    elif [ $((SECONDS - last)) -ge 20 ]; then
      last="$SECONDS"
      say "$what … $(elapsed "$began")"
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  [ ! -t 2 ] || printf '\n' >&2
  return "$status"
}

elapsed() {
  local seconds=$((SECONDS - $1))
  printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}
