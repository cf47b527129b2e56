#!/usr/bin/env bash
# Summary: Bring back what backup has written: the database, the keys, users' files and the configuration
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
# shellcheck source=runtime/upkeep/loading.sh
. "$ROOT/runtime/upkeep/loading.sh"

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

# Exchange the configuration files by the backup's; the old ones are kept. A .env that the backup does not have
# would take precedence over its config.env.
put_configuration() {
  local pair target
  for pair in config.env:runtime/config.env dot.env:.env; do
    target="$ROOT/${pair#*:}"
    rm -f "$target.before-restore"
    [ ! -f "$target" ] || cp -p "$target" "$target.before-restore"
    if [ -f "$FOLDER/${pair%%:*}" ]; then
      cp "$FOLDER/${pair%%:*}" "$target"
    elif [ "$target" = "$ROOT/.env" ]; then
      rm -f "$target"
    fi
  done
}

# Undo put_configuration.
take_configuration_back() {
  local target
  for target in "$ROOT/runtime/config.env" "$ROOT/.env"; do
    if [ -f "$target.before-restore" ]; then
      mv -f "$target.before-restore" "$target"
    else
      rm -f "$target"
    fi
  done
}

# give_up REASON [REMEDY]: nothing but the configuration has been changed: bring it back, and exit 1.
give_up() {
  take_configuration_back
  start_again
  die "$@"
}

restore_database() {
  BEGUN=supervisord
  if ! load_database "$FOLDER"; then
    stop_all
    BEGUN=''
    give_up 'the database could not be restored; nothing was changed'
  fi
  py bin/user_management_cli.py init-db >&2 ||
    die 'the database has the content of the backup now, but could not be brought to this version' \
      'the configuration is that of the backup, too; restore another backup, or run this again'
  load_files "$FOLDER" || warn 'the files of users could not be brought back'
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
  mkdir -p "$DATA_DIR"
  FOLDER="$(mktemp -d "$DATA_DIR/restore.XXXXXX")"
  TEMPORARY="$FOLDER"
  py -m runtime.upkeep.archive unpack "$FILE" "$FOLDER"
  confirm_replacement
  ! supervisord_runs || WAS_RUNNING=1
  stop_all
  put_configuration
  (init_supervision && read_config) || give_up 'the configuration in the backup is not valid here; nothing was changed'
  init_supervision
  read_config
  if [ -f "$FOLDER/database.sql" ]; then
    [ "$PROXY$EMBEDDED" = 11 ] ||
      give_up "the backup's database would not be used here; nothing was changed" \
        'LLAMA_SERVER_DATABASE_URL, POSTGRES_AUTH_HOST and LLAMA_PROXY_ENABLED of the environment must not be set'
    restore_database
  fi
  sed -n 's/^model: /the backup was made with the model /p' "$FOLDER/about.txt" >&2
  say "restored from $FILE"
  start_again
  release_lock "$RUN_DIR/lock"
  if [ -n "$WAS_RUNNING" ]; then print_summary; else say './console.sh start starts it'; fi
}

main "$@"
