#!/usr/bin/env bash
# Summary: The embedded PostgreSQL: create it, run it, wait for it, stop it.
# Usage: runtime/postgres/control.sh init           create the database if there is none, else check it
#   runtime/postgres/control.sh run            run the server in the foreground (SIGINT ends it)
#   runtime/postgres/control.sh wait SECONDS   wait until it answers
#   runtime/postgres/control.sh stop           stop it, whoever started it
#   runtime/postgres/control.sh where          print the directory that holds the data
#   runtime/postgres/control.sh client PROGRAM [ARGUMENT ...]
#                                      run psql, pg_dump, ... on the database
#
# The room runtime/postgres/ owns the embedded database's directory, user and processes: cluster.sh creates
# and checks the directory, place.sh decides where it is. It leaves supervision to runtime/supervisor/ and
# the schema to proxy/database/. This script is its front door.
#
# Environment: LLAMA_DATA_DIR   the directory of the data and of postgres.url, which holds the password
#   LLAMA_VENV_DIR   the Python environment that contains PostgreSQL's programs
set -euo pipefail
umask 077

# shellcheck source=runtime/shell/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/postgres/place.sh
source "$ROOT/runtime/postgres/place.sh"
# shellcheck source=runtime/postgres/cluster.sh
source "$ROOT/runtime/postgres/cluster.sh"

readonly PORT=5432 # only a part of the socket's name: PostgreSQL does not listen on TCP

init() {
  find_wheel
  set_runner
  make_private_dir "$DATA_DIR"
  locate_cluster
  reach_binaries
  place_cluster
  choose_socket_dir
  cd /
  if [ -d "$CLUSTER" ] && ! rmdir "$CLUSTER" 2>/dev/null; then
    check_cluster
  else
    create_cluster
  fi
}

# Print the pids of all processes of this cluster, including backends that outlived a killed postmaster.
cluster_processes() {
  if [ -r /proc/self/cmdline ]; then
    grep -zlsE "^(postgres: $NAME: .*|cluster_name=$NAME)$" /proc/[0-9]*/cmdline | cut -d/ -f3 || :
  else
    pgrep -f "postgres: $NAME: |cluster_name=$NAME" || :
  fi
}

# Print the postmaster's pid; nothing if there is none. The pid in postmaster.pid may belong to another
# process by now, so it must be one of the cluster's.
postmaster() {
  local pid
  pid="$(sed -n 1p "$CLUSTER/postmaster.pid" 2>/dev/null)" || return 0
  ! cluster_processes | grep -qx "$pid" || printf '%s' "$pid"
}

# End all processes of the cluster: by a fast shutdown if there is a postmaster, then by force.
end_processes() {
  local step pids='' deadline
  for step in 'INT 30' 'QUIT 5' 'KILL 5'; do
    pids="$(postmaster)"
    [ -n "$pids" ] || [ "${step% *}" != INT ] || continue
    [ -n "$pids" ] && [ "${step% *}" != KILL ] || pids="$(cluster_processes)"
    # shellcheck disable=SC2086 # several pids
    [ -z "$pids" ] || kill "-${step% *}" $pids 2>/dev/null || :
    deadline=$((SECONDS + ${step#* }))
    while [ -n "$(cluster_processes)" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
    [ -n "$(cluster_processes)" ] || return 0
  done
  die "Postgres cannot be stopped by $(id -un), process ${pids//$'\n'/, }"
}

run() {
  local pid
  find_wheel
  set_runner
  locate_cluster
  [ -f "$URL_FILE" ] && [ -d "$CLUSTER" ] || die "the database is not set up yet" "runtime/postgres/control.sh init sets it up"
  reach_binaries
  choose_socket_dir
  make_socket_dir
  cd /
  pid="$(postmaster)"
  [ -z "$pid" ] || die "Postgres is already running, as process $pid"
  end_processes
  # If another process now has the pid of a stale postmaster.pid, Postgres refuses to start. With our own
  # pid, which exec keeps, it starts, and the file still protects the shared memory that it names.
  # shellcheck disable=SC2016 # the inner shell expands it
  [ ! -f "$CLUSTER/postmaster.pid" ] || "${AS_DB[@]}" sh -c \
    'rest="$(sed 1d "$1")" && printf "%s\n" "$2" "$rest" >"$1"' sh "$CLUSTER/postmaster.pid" $$
  exec "${AS_DB[@]}" "$BIN/postgres" -D "$CLUSTER" -p "$PORT" -c "cluster_name=$NAME" \
    -c listen_addresses= -c unix_socket_permissions=0600 -c "unix_socket_directories=\"$SOCKET_DIR\""
}

# client PROGRAM [ARGUMENT…]: run one of Postgres's programs. The password is passed in the environment,
# where `ps` does not show it.
client() {
  local host
  host="$(sed -n 's/.*[?]host=\([^&]*\).*/\1/p' "$URL_FILE")"
  unset PGHOSTADDR PGSERVICE PGOPTIONS
  PGHOST="${host//%20/ }" PGPORT="$PORT" PGUSER=llamaserve PGDATABASE=llamaserve \
    PGPASSWORD="$(password_of_url)" exec "$BIN/$1" "${@:2}"
}

wait_ready() {
  local deadline=$((SECONDS + $1)) output
  until output="$(PGCONNECT_TIMEOUT=5 client psql -Xqc 'SELECT 1' 2>&1)"; do
    [ "$SECONDS" -lt "$deadline" ] || die "Postgres did not answer within $1 seconds" "$output"
    sleep 0.1
  done
}

main() {
  local command="${1-}"
  handle_help "$@"
  [ $# -eq 0 ] || shift
  case "$command:$#" in
    init:0 | run:0 | stop:0 | where:0 | wait:1 | client:[1-9]*) ;;
    *) usage_error "unknown command or arguments: ${command:-no command given}" ;;
  esac
  [ "$command" != wait ] || [[ $1 =~ ^[0-9]{1,6}$ ]] || usage_error "SECONDS must be a whole number"
  load_paths
  locate_cluster
  case "$command" in
    init | run) "$command" ;;
    stop) end_processes ;;
    where) printf '%s\n' "$CLUSTER" ;;
    wait | client)
      [ -f "$URL_FILE" ] || die "the database is not set up yet" "./console.sh start sets it up"
      find_wheel
      if [ "$command" = wait ]; then wait_ready "$1"; else client "$@"; fi
      ;;
  esac
}

main "$@"
