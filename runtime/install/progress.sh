#!/usr/bin/env bash
# Summary: Run a long step of an installation with its output in a log, and show its progress.
#
# Sourced by engine.sh. LOG_DIR is set by load_paths in runtime/shell/lib.sh.

# fail_with_log MESSAGE [REMEDY]: print the last lines of the installation's log and exit 1.
fail_with_log() {
  tail -n 20 "$LOG_DIR/install.log" | cut -c 1-300 | sed 's/^/  | /' >&2
  die "$@" "$(remedy_in_log)" "the whole log: $LOG_DIR/install.log"
}

# Where in the log the last step begins, in bytes.
STEP_BEGIN=0

# Print what to do about the reason that stands at the log's end. Nothing is lost by an attempt that failed.
remedy_in_log() {
  local text again='then run ./console.sh start again'
  text="$(tail -c "+$((STEP_BEGIN + 1))" "$LOG_DIR/install.log" | tail -n 60)"
  case "$text" in
    *'No space left on device'* | *'Disk quota exceeded'*)
      printf 'the disk is full: free 2 GB on that of %s (LLAMA_VENV_DIR chooses another place), %s' \
        "$VENV_DIR" "$again"
      ;;
    *CERTIFICATE_VERIFY_FAILED*)
      printf "a certificate on the way is not trusted: set PIP_CERT to your network's CA file, %s" "$again"
      ;;
    *'name resolution'* | *NewConnectionError* | *ConnectTimeoutError* | *ProxyError* | *'Network is unreachable'*)
      printf 'the package index cannot be reached: check the network; behind a proxy set HTTPS_PROXY, for a mirror '
      printf 'PIP_INDEX_URL, %s' "$again"
      ;;
    *'DO NOT MATCH THE HASHES'*)
      printf 'a downloaded file is damaged or not the one that is locked: ./console.sh start tries again; a mirror '
      printf '(PIP_INDEX_URL) must carry the files of pypi.org'
      ;;
    *'No matching distribution'*)
      printf 'the package index has no file for this Python and machine: PYTHON=/path/to/python3.12 with '
      printf 'another LLAMA_VENV_DIR may help'
      ;;
    *'Killed signal'* | *'signal 9'* | *'out of memory'* | *'std::bad_alloc'*)
      printf 'the compiler ran out of memory: CMAKE_BUILD_PARALLEL_LEVEL=1 ./console.sh start uses less'
      ;;
    *'Python.h'*) printf 'the headers of Python are missing: %s' "$(compiler_command)" ;;
    *) printf '%s' './console.sh start tries again and goes on with what is missing' ;;
  esac
}

# run_logged WHAT COMMAND…: run the command with its output in the log, and show the time that it has taken:
# one line that counts on a terminal, otherwise a line every 20 seconds. If the command reports its steps as
# [DONE/ALL], as ninja does, they are shown as a percentage.
run_logged() {
  local what="$1" pid status=0 began="$SECONDS" shown="$SECONDS"
  shift
  printf '\n== %s: %s\n' "$(date '+%Y-%m-%d %H:%M:%S')" "$what" >>"$LOG_DIR/install.log"
  STEP_BEGIN="$(wc -c <"$LOG_DIR/install.log")"
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
      printf '\r\033[K%s … %s%s' "$what" "$(steps_since "$STEP_BEGIN")" "$(elapsed "$began")" >&2
    elif [ $((SECONDS - shown)) -ge 20 ]; then
      shown="$SECONDS"
      say "$what … $(steps_since "$STEP_BEGIN")$(elapsed "$began")"
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
