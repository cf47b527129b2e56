#!/usr/bin/env bash
# Summary: Replace the model server for restart and use; go back to the old model if the new one fails.
#
# Sourced by begin.sh. Meanwhile new requests wait in the proxy's queue. The old server is stopped when it
# has answered its requests, or after LLAMA_PROXY_DRAIN_SECONDS.

# The model to go back to if this command ends before the new one is ready.
BEFORE=''
# The new model's last error in the log, saved before the old model's messages follow it.
REASON=''

# replace_server MODEL: serve MODEL. If it does not become ready, serve the model before again and exit 1.
replace_server() {
  local before=''
  [ ! -f "$DATA_DIR/model" ] || before="$(cat "$DATA_DIR/model")"
  in_background -m runtime.supervisor.drain "$DRAIN"
  [ "$before" = "$1" ] || BEFORE="$before"
  start_server "$1"
  if ! comes_up server "$START_SECONDS"; then
    [ -n "$BEFORE" ] || exit 1
    go_back
    wait_for server "$START_SECONDS"
    rm -f "$DATA_DIR/model.before"
    die "$1 could not be served; $before is served again" "${REASON:-the log above shows why}"
  fi
  BEFORE=''
  rm -f "$DATA_DIR/model.before"
}

go_back() {
  local before="$BEFORE"
  BEFORE=''
  REASON="$(tail -n 15 "$LOG_DIR/server.log" | sed -n 's/^.* ERROR engine: //p' | tail -n 1)"
  say "going back to $before"
  start_server "$before"
}

# Undo a switch that was interrupted. Does not wait until the server has loaded the old model.
go_back_if_unfinished() { [ -z "$BEFORE" ] || go_back; }

# start_server MODEL: stop the server, also one between two attempts, and start it with MODEL. Requests that
# waited may name the model before: its name is accepted for a while (runtime/engine/settings.py).
start_server() {
  supervision stop server
  supervision ports server || exit 1
  [ ! -f "$DATA_DIR/model" ] || cp -p "$DATA_DIR/model" "$DATA_DIR/model.before"
  remember_model "$1"
  supervision start server
}
