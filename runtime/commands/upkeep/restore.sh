#!/usr/bin/env bash
# Summary: Bring back what backup has written: the database, the keys and the configuration
# Usage: ./console.sh restore FILE [--yes]
#
# Replaces users, keys, limits, records and configuration of this checkout by those of the backup; asks first
# if there are any, unless --yes is given. The old configuration files are kept with the ending
# .before-restore. An appliance that runs is stopped, and started again afterwards. A database of a newer
# version is refused. If the database cannot be restored, nothing is changed.
#
# Restore only files of your own: a backup contains statements that are executed.
set -euo pipefail
umask 077

# shellcheck source=runtime/supervisor/begin.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../supervisor/begin.sh"

FILE=''
YES=''
FOLDER=''
WAS_RUNNING=''

parse() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --yes) YES=1 ;;
      -* | '') usage_error "unknown option: $argument" ;;
      *)
        [ -z "$FILE" ] || usage_error 'name one file only'
        FILE="$argument"
        ;;
    esac
  done
  [ -n "$FILE" ] || usage_error 'name the file that backup has written'
  case "$FILE" in /*) ;; *) FILE="$PWD/$FILE" ;; esac
}

# Ask before something is replaced.
confirm_replacement() {
  local answer=''
  [ -z "$YES" ] && [ -e "$DATA_DIR/postgres.url" ] || return 0
  [ -t 0 ] || die 'this checkout has a database, which the backup replaces' '--yes replaces it'
  printf 'Replace the users, keys, records and configuration of %s? [y/N] ' "$ROOT" >&2
  read -r answer || :
  case "$answer" in [Yy]*) ;; *) die 'nothing was changed' ;; esac
}

# Exchange the configuration files by the backup's; the old ones are kept.
put_configuration() {
  local pair target
  for pair in config.env:runtime/config.env dot.env:.env; do
    target="$ROOT/${pair#*:}"
    [ ! -f "$target" ] || cp -p "$target" "$target.before-restore"
    [ ! -f "$FOLDER/${pair%%:*}" ] || cp "$FOLDER/${pair%%:*}" "$target"
  done
}

# Undo put_configuration.
take_configuration_back() {
  local target
  for target in "$ROOT/runtime/config.env" "$ROOT/.env"; do
    [ ! -f "$target.before-restore" ] || mv -f "$target.before-restore" "$target"
  done
}

# Print the number of the newest migration that this version knows.
newest_migration() {
  local file newest=0
  for file in "$ROOT"/proxy/database/migrations/[0-9]*.sql; do
    file="${file##*/}"
    newest="${file%%_*}"
  done
  printf '%d' "$((10#$newest))"
}

# Print the statements that replace the database's content. All run in one transaction, whose last statement
# fails if the backup is of a newer version.
statements() {
  printf 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n'
  cat "$FOLDER/database.sql"
  # shellcheck disable=SC2016 # the $ are literal
  printf 'DO $$ BEGIN IF (SELECT max(version) FROM public.llama_schema) > %d THEN RAISE EXCEPTION %s; END IF; END $$;\n' \
    "$(newest_migration)" "'the backup is of a newer version of Llamaserve: upgrade first'"
}

# Load the dump into a database that nothing else uses.
load_database() {
  with_default_signals bash "$ROOT/runtime/postgres/control.sh" init &&
    start_supervisord &&
    supervision start postgres &&
    comes_up postgres "$POSTGRES_SECONDS" &&
    statements | PGOPTIONS='' bash "$ROOT/runtime/postgres/control.sh" client \
      psql -Xq --single-transaction -v ON_ERROR_STOP=1 >/dev/null
}

restore_database() {
  BEGUN=supervisord
  if ! load_database; then
    stop_all
    BEGUN=''
    take_configuration_back
    start_again
    die 'the database could not be restored; nothing was changed'
  fi
  py bin/user_management_cli.py init-db >&2 ||
    die 'the database has the content of the backup now, but could not be brought to this version' \
      'the configuration is that of the backup, too; restore another backup, or run this again'
  stop_all
  BEGUN=''
}

# Start what ran before, with the configuration that is in place now.
start_again() {
  [ -n "$WAS_RUNNING" ] || return 0
  init_supervision
  read_config
  bring_up ''
}

main() {
  handle_help "$@"
  parse "$@"
  begin_command restore
  FOLDER="$(mktemp -d)"
  TEMPORARY="$FOLDER"
  py -m runtime.upkeep.archive unpack "$FILE" "$FOLDER"
  confirm_replacement
  ! supervisord_runs || WAS_RUNNING=1
  stop_all
  put_configuration
  if ! (init_supervision && read_config); then
    take_configuration_back
    start_again
    die 'the configuration in the backup is not valid here; nothing was changed'
  fi
  init_supervision
  read_config
  if [ -f "$FOLDER/database.sql" ] && [ "$PROXY$EMBEDDED" = 11 ]; then
    restore_database
  fi
  sed -n 's/^model: /the backup was made with the model /p' "$FOLDER/about.txt" >&2
  say "restored from $FILE"
  start_again
  release_lock "$RUN_DIR/lock"
  if [ -n "$WAS_RUNNING" ]; then print_summary; else say './console.sh start starts it'; fi
}

main "$@"
