#!/usr/bin/env bash
# Summary: The beginning and the end that start, restart and use share; sources all they need.
#
# A command sources only this file. It calls `begin_command`, does its work and calls `end_command`. If it
# ends in between, for whatever reason, `clean_up` stops what it has started and releases the lock.

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"
# shellcheck source=runtime/supervisor/bring_up.sh
. "$ROOT/runtime/supervisor/bring_up.sh"
# shellcheck source=runtime/supervisor/meanwhile.sh
. "$ROOT/runtime/supervisor/meanwhile.sh"
# shellcheck source=runtime/supervisor/replace_server.sh
. "$ROOT/runtime/supervisor/replace_server.sh"
# shellcheck source=runtime/supervisor/summary.sh
. "$ROOT/runtime/supervisor/summary.sh"

# What this command has started and not completed: '', 'supervisord' or names of programs.
BEGUN=''
# The process that this command waits for.
CHILD=''
# A directory that is removed at the end.
TEMPORARY=''
# The process group that prepares things while the engine is compiled.
PREPARING=''

# begin_command PURPOSE [CHECK [MEANWHILE]]: take the lock, install what is missing, check and read the
# configuration. CHECK is run before anything is installed, MEANWHILE beside the installation of the engine
# if that is missing, which may take minutes.
begin_command() {
  init_supervision
  require_limits
  make_dirs
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  take_lock "$RUN_DIR/lock" "$1"
  finish_shutdown
  [ -z "${2:-}" ] || "$2"
  install --packages
  py -m runtime.config check
  read_config
  if ! bash "$ROOT/runtime/install.sh" --check; then
    [ -z "${3:-}" ] || "$3"
    install
    end_preparations
  fi
}

# Release the lock and print what is running.
end_command() {
  release_lock "$RUN_DIR/lock"
  print_summary
}

# If supervisord is shutting down, wait until it has ended: until then it refuses every request.
finish_shutdown() {
  local status=0
  supervisord_runs && [ -x "$PYTHON_BIN" ] || return 0
  supervision states >/dev/null 2>&1 || status=$?
  [ "$status" -eq 3 ] || return 0
  say 'the appliance is shutting down: waiting until it has stopped'
  stop_all
}

# Called on exit, also after a signal. Undoes what the command has begun.
clean_up() {
  local status=$?
  trap '' INT TERM
  [ -z "$TEMPORARY" ] || rm -rf "$TEMPORARY"
  go_back_if_unfinished
  [ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null || :
  [ -z "$PREPARING" ] || kill -- "-$PREPARING" 2>/dev/null || :
  # Its last messages must not appear between the lines that follow.
  [ -z "$CHILD" ] || wait "$CHILD" 2>/dev/null || :
  case "$BEGUN" in
    '') ;;
    *supervisord*)
      say 'stopping what was started'
      stop_all
      ;;
    *)
      say "stopping$BEGUN"
      # shellcheck disable=SC2086 # several names
      supervision stop $BEGUN || :
      ;;
  esac
  release_lock "$RUN_DIR/lock"
  exit "$status"
}

# named_model FILE: print the path that the user means, who may be in another directory than the checkout.
named_model() {
  case "$1" in
    '') usage_error '--model needs a file' ;;
    /*) printf '%s' "$1" ;;
    *) if [ -f "$PWD/$1" ]; then printf '%s' "$PWD/$1"; else printf '%s' "$1"; fi ;;
  esac
}

# install [OPTION]: run the installation. In the background because bash handles a signal only between two
# commands, or while it waits.
install() {
  bash "$ROOT/runtime/install.sh" "$@" &
  CHILD=$!
  wait "$CHILD" || exit 1
  CHILD=''
}

# in_background ARGUMENT…: run the environment's Python so that a signal ends the wait for it, which may
# take minutes.
in_background() {
  local status=0
  (cd "$ROOT" && exec "$PYTHON_BIN" "$@") &
  CHILD=$!
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}
