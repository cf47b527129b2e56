#!/usr/bin/env bash
# Summary: What `restart` and `use` share: replace the model server, or have the one before again.
#
# To be sourced after bring_up.sh. Requests that have no turn yet wait in the proxy meanwhile; the server
# is stopped when it has answered the others, or after LLAMA_PROXY_DRAIN_SECONDS.

# The model to go back to if this call ends before the new one is ready.
BEFORE=''

# replace_server MODEL: serve MODEL. Where it does not come up, the model before is served again, and
# this ends with 1.
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
    die "$1 could not be served; $before is served again" "${REASON:-the log above tells more}"
  fi
  BEFORE=''
  rm -f "$DATA_DIR/model.before"
}

# What the log says last of the new model, before the old one's lines follow.
REASON=''

go_back() {
  local before="$BEFORE"
  BEFORE=''
  REASON="$(tail -n 15 "$LOG_DIR/server.log" | sed -n 's/^.* ERROR engine: //p' | tail -n 1)"
  say "going back to $before"
  start_server "$before"
}

# start_server MODEL: in the place of the one that runs, or is between two tries. Who waited may name the
# model before: its name holds for a while (runtime/engine/settings.py).
start_server() {
  supervision stop server
  supervision ports server || exit 1
  [ ! -f "$DATA_DIR/model" ] || cp -p "$DATA_DIR/model" "$DATA_DIR/model.before"
  remember_model "$1"
  supervision start server
}

# To be called at the exit, also after a signal: a switch that did not end is undone. What the server
# needs to load the old model is not waited for.
clean_up_replacement() {
  local status=$?
  trap '' INT TERM
  [ -z "$BEFORE" ] || go_back
  clean_up "$status"
}
