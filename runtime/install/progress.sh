#!/usr/bin/env bash
# Summary: Run a long step of an installation with its output in a log, and show its progress.
#
# Sourced by engine.sh. LOG_DIR is set by load_paths in runtime/shell/lib.sh.

# fail_with_log MESSAGE [REMEDY]: print the last lines of the installation's log and exit 1.
fail_with_log() {
  tail -n 20 "$LOG_DIR/install.log" | sed 's/^/  | /' >&2
  die "$@" "the whole log: $LOG_DIR/install.log"
}

# run_logged WHAT COMMAND…: run the command with its output in the log, and show the time that it has taken:
# one line that counts on a terminal, otherwise a line every 20 seconds. If the command reports its steps as
# [DONE/ALL], as ninja does, they are shown as a percentage.
run_logged() {
  local what="$1" pid status=0 began="$SECONDS" shown="$SECONDS" from
  shift
  printf '\n== %s: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$what" >>"$LOG_DIR/install.log"
  from="$(wc -c <"$LOG_DIR/install.log")"
  # -m gives it its own process group, so that an interrupted installation leaves no compiler running.
  set -m
  "$@" >>"$LOG_DIR/install.log" 2>&1 </dev/null &
  pid=$!
  set +m
  trap 'kill -- "-$pid" 2>/dev/null; exit 1' INT TERM
  [ -t 2 ] || say "$what"
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ -t 2 ] && [ "$SECONDS" -gt "$shown" ]; then
      shown="$SECONDS"
      printf '\r\033[K%s … %s%s' "$what" "$(steps_since "$from")" "$(elapsed "$began")" >&2
    elif [ $((SECONDS - shown)) -ge 20 ]; then
      shown="$SECONDS"
      say "$what … $(steps_since "$from")$(elapsed "$began")"
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  [ ! -t 2 ] || printf '\r\033[K%s: %s\n' "$what" "$(elapsed "$began")" >&2
  return "$status"
}

# steps_since BYTE: print the last [DONE/ALL] that the log reports from there on, in words; nothing if there
# is none. Only the log's end is read: a compiler's messages are long.
steps_since() {
  local last
  last="$(tail -c "+$(($1 + 1))" "$LOG_DIR/install.log" | tail -c 65536 |
    sed -n 's/^ *\[\([0-9]*\)\/\([0-9]*\)\] .*/\1 \2/p' | tail -n 1)"
  [ -n "$last" ] || return 0
  # shellcheck disable=SC2086 # two numbers
  set -- $last
  [ "$2" -eq 0 ] || printf '%d %% (%d of %d files), ' $((100 * $1 / $2)) "$1" "$2"
}

elapsed() {
  local seconds=$((SECONDS - $1))
  printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}
