#!/usr/bin/env bash
# Summary: Create and check the embedded PostgreSQL's data directory; for runtime/postgres/control.sh.
#
# To be sourced after runtime/postgres/place.sh, which sets CLUSTER, BIN, AS_DB and SOCKET_DIR.

# Settings for a small server on a shared machine. They are written to postgresql.conf, where users can
# change them. Shared memory is kept in files: POSIX shared memory is removed when the user logs out, and is
# tiny in containers.
readonly SETTINGS='shared_buffers=32MB max_connections=50 max_wal_size=256MB io_method=sync
  dynamic_shared_memory_type=mmap timezone=UTC log_timezone=UTC'

# Create the cluster in another directory and move it into place when it is complete: an interrupted
# creation starts again from the beginning.
create_cluster() {
  local new="$CLUSTER.new" password setting output
  local options=(--auth=reject --encoding=UTF8 --locale=C --locale-provider=builtin)
  for setting in $SETTINGS; do options+=(--set "$setting"); done
  say "creating the database in $CLUSTER"
  rm -rf "$new"
  mkdir "$new"
  ! is_root || chown "$DB_USER" "$new"
  output="$("${AS_DB[@]}" "$BIN/initdb" -D "$new" -U postgres --builtin-locale=C.UTF-8 \
    "${options[@]}" 2>&1)" || die "the database could not be created" "$output"
  printf 'local all all scram-sha-256\n' >"$new/pg_hba.conf"
  password="$(new_password)"
  # The superuser has no password and cannot log in. CREATEDB allows restoring a backup beside the original.
  single_user "$new" "CREATE ROLE llamaserve LOGIN CREATEDB PASSWORD '$password'" \
    'CREATE DATABASE llamaserve OWNER llamaserve'
  write_url "$password"
  mv "$new" "$CLUSTER"
}

check_cluster() {
  local made installed password
  "${AS_DB[@]}" test -O "$CLUSTER" || die "$CLUSTER belongs to another user than $("${AS_DB[@]}" id -un), or cannot be reached" \
    "start as the user who created it, or give it to this one with chown -R"
  made="$(cat "$CLUSTER/PG_VERSION" 2>/dev/null)" ||
    die "$CLUSTER is not a PostgreSQL data directory" "move it away to start with an empty database"
  installed="$("${AS_DB[@]}" "$BIN/postgres" --version | sed -e 's/[^0-9]*//' -e 's/[^0-9].*//')"
  [ "$made" = "$installed" ] ||
    die "the database in $CLUSTER was made by PostgreSQL $made, but PostgreSQL $installed is installed" \
      "to keep its data: go back to the release that created it, start it, and save the data with" \
      "  runtime/postgres/control.sh client pg_dump >backup.sql" \
      "then stop it, update, move $CLUSTER away, start, and load the data with" \
      "  runtime/postgres/control.sh client psql -q -f backup.sql"
  password="$(password_of_url)"
  if [ -z "$password" ]; then
    [ -z "$(cluster_processes)" ] || die "$URL_FILE is missing while Postgres is running" "./console.sh restart creates it again"
    password="$(new_password)"
    single_user "$CLUSTER" "ALTER ROLE llamaserve PASSWORD '$password'"
  fi
  write_url "$password"
}

new_password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# single_user DIR STATEMENT...: run SQL as the superuser, without a server.
single_user() {
  local dir="$1" output
  shift
  output="$(printf '%s;\n' "$@" | "${AS_DB[@]}" "$BIN/postgres" --single -D "$dir" \
    -c exit_on_error=true -c log_min_error_statement=panic postgres 2>&1)" ||
    die "the database in $dir could not be set up" "$output"
}

write_url() {
  printf 'postgresql://llamaserve:%s@/llamaserve?host=%s&port=%s\n' \
    "$1" "${SOCKET_DIR// /%20}" "$PORT" >"$URL_FILE.new"
  mv "$URL_FILE.new" "$URL_FILE"
}

password_of_url() { sed -n 's|^postgresql://llamaserve:\([0-9a-f]*\)@.*|\1|p' "$URL_FILE" 2>/dev/null || :; }
