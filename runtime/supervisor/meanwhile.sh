#!/usr/bin/env bash
# shellcheck disable=SC2153 # PROXY and the like are set by read_config in supervise.sh
# Summary: What start does while the engine is compiled: make and start the database, fetch a model.
#
# Sourced by begin.sh. The work goes on in a process group of its own, PREPARING, with its messages in
# prepare.log: the terminal shows the compiler's progress. BEGUN, which clean_up in begin.sh reads, already
# names what it starts.

# The model that a Python package carries (SMOLLM2 in runtime/library/packaged.py).
PACKAGED='smollm2'
PACKAGED_FILE='SmolLM2-135M-Instruct.Q4_1.gguf'

# is_packaged NAME: 0 if the user means that model, and no file of this name.
is_packaged() {
  [ "$1" = "$PACKAGED" ] && [ ! -f "$ROOT/models/$1" ] && [ ! -f "$ROOT/models/$1.gguf" ]
}

# offer_model MODEL: on a terminal, ask whether a real model shall be fetched, if the starter would be served.
# Prints the name of what to fetch.
offer_model() {
  local answer=''
  if is_packaged "$1"; then
    printf '%s' "$PACKAGED"
    return
  fi
  [ -z "$1" ] && [ "$LOCAL_SERVER" = 1 ] && [ -t 0 ] && [ -t 2 ] || return 0
  case "$(py -m runtime.models select 2>/dev/null </dev/null)" in
    "$ROOT"/models/starter/*) ;;
    *) return 0 ;;
  esac
  say 'The engine is installed first, which may take some minutes. Without a model of'
  say 'yours it serves a tiny starter model.'
  printf 'Download SmolLM2-135M-Instruct meanwhile (89 MB, Apache-2.0)? [Y/n] ' >&2
  read -r answer || answer=n
  case "$answer" in '' | [Yy]*) printf '%s' "$PACKAGED" ;; esac
}

# prepare MODEL: begin in the background what does not need the engine.
prepare() {
  local fetch
  supervisord_runs || check_ports
  fetch="$(offer_model "$1")"
  if [ "$PROXY$EMBEDDED" = 11 ] && ! supervisord_runs; then
    BEGUN=supervisord
    say 'The database is made meanwhile: in another terminal, users can be created already.'
  fi
  # A process group of its own, so that an interruption also ends what it has started.
  set -m
  (
    trap - EXIT INT TERM
    [ -z "$BEGUN" ] || prepare_database
    [ -z "$fetch" ] || py -m runtime.library.pull "$fetch" >/dev/null
  ) >"$LOG_DIR/prepare.log" 2>&1 </dev/null &
  PREPARING=$!
  set +m
}

# Exit 1 if a port is taken: better now than after the compiler has run.
check_ports() {
  local name names=()
  for name in server proxy dashboard; do
    case " $WANTED " in *" $name "*) names+=("$name") ;; esac
  done
  supervision ports ${names[@]+"${names[@]}"} || exit 1
}

prepare_database() {
  stop_all
  with_default_signals bash "$ROOT/runtime/postgres/control.sh" init
  start_supervisord
  start_database postgres
}

# Wait for what `prepare` began. A model that cannot be fetched is no error here: the starter is served, or
# fetch_packaged tries again and says why.
end_preparations() {
  [ -n "$PREPARING" ] || return 0
  if kill -0 "$PREPARING" 2>/dev/null; then
    say 'waiting for the download and the database'
  fi
  wait "$PREPARING" || sed 's/^/  | /' "$LOG_DIR/prepare.log" >&2
  PREPARING=''
}

# fetch_packaged: get the model that a package carries, if it is not there yet; exit 1 if it cannot be had.
# Prints its name in models/.
fetch_packaged() {
  [ -f "$ROOT/models/$PACKAGED_FILE" ] || py -m runtime.library.pull "$PACKAGED" >/dev/null || exit 1
  printf '%s' "$PACKAGED_FILE"
}
