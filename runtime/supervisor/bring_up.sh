#!/usr/bin/env bash
# shellcheck disable=SC2153 # PROXY and the like are set by read_config in supervise.sh
# Summary: Start the programs that are down, in order, and wait until they are ready.
#
# Sourced by begin.sh. BEGUN, which clean_up in begin.sh reads, names what has been started so far.

POSTGRES_SECONDS=60
PROXY_SECONDS=30
DASHBOARD_SECONDS=30
# What bring_up has started, for show_first_answer in summary.sh.
STARTED=''

# bring_up MODEL: start the programs that are down and wait until all are ready. MODEL may be empty.
bring_up() {
  local down="$WANTED" model=''
  if supervisord_runs; then
    # supervisord keeps the socket that it was started with.
    [ "$(head -n 1 "$RUN_DIR/started_with")" = "$LLAMASERVE_PROXY_SOCKET" ] ||
      die "the proxy's address has changed since the start" './console.sh restart applies the change'
    down="$(down_programs)"
  else
    # What a killed supervisord left behind would hold ports and data.
    stop_all
  fi
  case " $down " in
    *' server '*) model="$(py -m runtime.models select ${1:+--model "$1"})" || exit 1 ;;
    *) refuse_other_model "$1" ;;
  esac
  [ -z "$down" ] || start_programs "$down" "$model"
  wait_for server "$START_SECONDS"
  wait_for proxy "$PROXY_SECONDS"
  # Requests are served without it, too.
  comes_up dashboard "$DASHBOARD_SECONDS" || warn 'the dashboard does not run; everything else does'
  BEGUN=''
  # shellcheck disable=SC2034 # summary.sh reads it
  STARTED="$down"
}

# Print the programs of WANTED that are not up.
down_programs() {
  local states name
  states="$(supervision states)" || die 'supervisord runs but does not answer' './console.sh restart fixes that'
  for name in $WANTED; do
    case "$states" in *"$name running"* | *"$name starting"*) ;; *) printf '%s ' "$name" ;; esac
  done
}

# refuse_other_model MODEL: exit 1 if the running server serves another model than this one.
refuse_other_model() {
  local serving other
  [ -n "$1" ] && [ "$LOCAL_SERVER" = 1 ] || return 0
  serving="$(cat "$DATA_DIR/model")"
  other="$(py -m runtime.models select --model "$1")" || exit 1
  [ "$other" = "$serving" ] ||
    die "the server is already running, with $serving" "./console.sh restart --model '$1' changes the model"
}

# start_programs NAMES MODEL: start these programs, each when the programs that it needs are ready.
start_programs() {
  local names="$1" name
  [ "$(id -u)" -ne 0 ] || say 'note: running as root; an ordinary user is enough'
  if supervisord_runs; then
    BEGUN=" $names"
    # supervisord may be about to restart a program that fails: prevent that.
    # shellcheck disable=SC2086 # several names
    supervision stop $names
  fi
  # shellcheck disable=SC2086 # several names
  supervision ports $names || exit 1
  case " $names " in *' postgres '*) with_default_signals bash "$ROOT/runtime/postgres/control.sh" init ;; esac
  [ -z "$2" ] || remember_model "$2"
  if [ -z "$BEGUN" ]; then
    BEGUN=supervisord
    start_supervisord
  fi
  start_database "$names"
  [ -z "$2" ] || warn_about_memory "$2"
  for name in server proxy dashboard; do
    case " $names " in *" $name "*) supervision start "$name" ;; esac
  done
}

# start_database NAMES: start the database and apply its schema. Server and proxy can then start together.
start_database() {
  [ "$PROXY" = 1 ] || return 0
  case " $1 " in *' postgres '*) supervision start postgres ;; esac
  wait_for postgres "$POSTGRES_SECONDS"
  py bin/user_management_cli.py init-db >&2 || die 'the database schema could not be applied'
}

# warn_about_memory MODEL: warn if the model may not fit into memory. It is served in any case, since the
# estimate may be wrong.
warn_about_memory() {
  local reason
  reason="$(py -m runtime.library.model_fit "$1" 2>&1)" || warn "${reason#error: }"
}

# remember_model MODEL: store it as the model that the next start of the server serves.
remember_model() (
  umask 077
  mkdir -p "$DATA_DIR"
  printf '%s\n' "$1" >"$DATA_DIR/model.$$"
  mv -f "$DATA_DIR/model.$$" "$DATA_DIR/model"
)

# comes_up NAME SECONDS: wait until the program is ready, if it is one of WANTED. If it does not become
# ready, print the end of its log on stderr and return 1.
comes_up() {
  case " $WANTED " in *" $1 "*) ;; *) return 0 ;; esac
  in_background -m runtime.supervisor wait "$1" "$2" && return
  show_log "$1"
  return 1
}

# wait_for NAME SECONDS: like comes_up, but exit 1.
wait_for() { comes_up "$@" || exit 1; }
