#!/usr/bin/env bash
# shellcheck disable=SC2153 # PROXY and the like are set by read_config in supervise.sh
# Summary: What `start` and `restart` share: bring up what is down, or leave nothing half running.
#
# To be sourced after lib.sh, lock.sh and supervise.sh.

POSTGRES_SECONDS=60
PROXY_SECONDS=30

# What this call has begun and not completed; clean_up ends it.
BEGUN=''
CHILD=''

# named_model FILE: as the user means it, who may be in another directory than the checkout.
named_model() {
  case "$1" in
    '') usage_error '--model needs a file' ;;
    /*) printf '%s' "$1" ;;
    *) if [ -f "$PWD/$1" ]; then printf '%s' "$PWD/$1"; else printf '%s' "$1"; fi ;;
  esac
}

# In the background, since bash acts on a signal only between two commands.
install() {
  bash "$ROOT/runtime/install.sh" &
  CHILD=$!
  wait "$CHILD" || exit 1
  CHILD=''
}

# clean_up [STATUS]: to be called at the exit, also after a signal.
clean_up() {
  local status="${1:-$?}"
  trap '' INT TERM
  [ -z "$CHILD" ] || kill "$CHILD" 2>/dev/null || :
  # Until it has ended, what it says last must not come between the lines that follow.
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

# Print those of WANTED that are not up.
down_programs() {
  local states name
  states="$(supervision states)" || die 'supervisord runs but does not answer' './console.sh restart mends that'
  for name in $WANTED; do
    case "$states" in *"$name running"* | *"$name starting"*) ;; *) printf '%s ' "$name" ;; esac
  done
}

# bring_up MODEL: start what is down, and wait until all is ready.
bring_up() {
  local down="$WANTED" model=''
  if supervisord_runs; then
    # supervisord keeps the socket that it was started with.
    [ "$(head -n 1 "$RUN_DIR/started_with")" = "$LLAMASERVE_PROXY_SOCKET" ] ||
      die "the proxy's address has changed since the start" './console.sh restart puts it to use'
    down="$(down_programs)"
  else
    # What a killed supervisord left behind would hold ports and data.
    stop_all
  fi
  case " $down " in
    *' server '*) model="$(py -m runtime.models.selection select ${1:+--model "$1"})" || exit 1 ;;
    *) refuse_other_model "$1" ;;
  esac
  [ -z "$down" ] || start_programs "$down" "$model"
  wait_for server "$START_SECONDS"
  wait_for proxy "$PROXY_SECONDS"
  BEGUN=''
}

refuse_other_model() {
  local serving other
  [ -n "$1" ] && [ "$LOCAL_SERVER" = 1 ] || return 0
  serving="$(cat "$DATA_DIR/model")"
  other="$(py -m runtime.models.selection select --model "$1")" || exit 1
  [ "$other" = "$serving" ] ||
    die "the server runs already, with $serving" "./console.sh restart --model '$1' changes that"
}

# start_programs NAMES MODEL: those that are down, each when what it stands on is ready.
start_programs() {
  local names="$1" name
  [ "$(id -u)" -ne 0 ] || say 'note: running as root; an ordinary user is enough'
  if supervisord_runs; then
    BEGUN=" $names"
    # One that fails again and again is between two tries.
    # shellcheck disable=SC2086 # several names
    supervision stop $names
  fi
  # shellcheck disable=SC2086 # several names
  supervision ports $names || exit 1
  case " $names " in *' postgres '*) bash "$ROOT/runtime/postgres/control.sh" init ;; esac
  [ -z "$2" ] || remember_model "$2"
  if [ -z "$BEGUN" ]; then
    BEGUN=supervisord
    start_supervisord
  fi
  start_database "$names"
  [ -z "$2" ] || warn_of_memory "$2"
  for name in server proxy; do
    case " $names " in *" $name "*) supervision start "$name" ;; esac
  done
}

# The database and its schema come first: server and proxy may then start together.
start_database() {
  [ "$PROXY" = 1 ] || return 0
  case " $1 " in *' postgres '*) supervision start postgres ;; esac
  wait_for postgres "$POSTGRES_SECONDS"
  py bin/user_management_cli.py init-db >&2 || die 'the database schema could not be applied'
}

# warn_of_memory MODEL: it is served all the same, since the estimate may be wrong.
warn_of_memory() {
  local reason
  reason="$(py -m runtime.library.model_fit "$1" 2>&1)" || warn "${reason#error: }"
}

remember_model() (
  umask 077
  mkdir -p "$DATA_DIR"
  printf '%s\n' "$1" >"$DATA_DIR/model.$$"
  mv -f "$DATA_DIR/model.$$" "$DATA_DIR/model"
)

# in_background ARGUMENT…: the environment's Python, as `install` runs: what it does may take minutes,
# and a stop must not wait for that.
in_background() {
  local status=0
  (cd "$ROOT" && exec "$PYTHON_BIN" "$@") &
  CHILD=$!
  wait "$CHILD" || status=$?
  CHILD=''
  return "$status"
}

# comes_up NAME SECONDS: whether it becomes ready, if it is one that we run; else its log is shown.
comes_up() {
  case " $WANTED " in *" $1 "*) ;; *) return 0 ;; esac
  in_background -m runtime.supervisor.client wait "$1" "$2" && return
  show_log "$1"
  return 1
}

wait_for() { comes_up "$@" || exit 1; }

print_model() {
  local model
  model="$(cat "$DATA_DIR/model")"
  printf 'model   %s\n' "$model"
  case "$model" in
    "$ROOT"/models/starter/*)
      printf '        the small starter model, for a first try (./console.sh pull gets a real one)\n'
      ;;
  esac
}

print_summary() {
  local proxy="http://$PROXY_HOST:$PROXY_PORT"
  [ "$LOCAL_SERVER" = 0 ] || print_model
  printf 'server  %s/v1   (its key: LLAMA_SERVER_API_KEY in runtime/config.env)\n' "$BACKEND_URL"
  if [ "$PROXY" = 1 ]; then
    proxy="$(py -m runtime.config get proxy_url)"
    printf 'proxy   %s/v1   (a key for each user)\n' "$proxy"
    printf 'try it  ./console.sh chat\n'
    printf 'users   ./bin/user_management_cli.sh create-user --username alice\n'
  fi
  printf 'logs    %s (./console.sh logs -f)\n' "$LOG_DIR"
}
