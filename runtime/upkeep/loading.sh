#!/usr/bin/env bash
# Summary: Loads what a backup contains: the database, users' files.
#
# Sourced by runtime/commands/upkeep/restore.sh, after begin.sh.

# Print the number of the newest migration that this version knows.
newest_migration() {
  local file newest=0
  for file in "$ROOT"/proxy/database/migrations/[0-9]*.sql; do
    file="${file##*/}"
    newest="${file%%_*}"
  done
  printf '%d' "$((10#$newest))"
}

# statements FOLDER: print the statements that replace the database's content. All run in one transaction, whose
# last statement fails if the backup is of a newer version.
statements() {
  printf 'DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n'
  cat "$1/database.sql"
  # shellcheck disable=SC2016 # the $ are literal
  printf 'DO $$ BEGIN IF (SELECT max(version) FROM public.llama_schema) > %d THEN RAISE EXCEPTION %s; END IF; END $$;\n' \
    "$(newest_migration)" "'the backup is of a newer version of Llamaserve: upgrade first'"
}

# load_database FOLDER: load the dump into a database that nothing else uses.
load_database() {
  with_default_signals bash "$ROOT/runtime/postgres/control.sh" init &&
    start_supervisord &&
    supervision start postgres &&
    comes_up postgres "$POSTGRES_SECONDS" &&
    statements "$1" | PGOPTIONS='' bash "$ROOT/runtime/postgres/control.sh" client \
      psql -Xq --single-transaction -v ON_ERROR_STOP=1 >/dev/null
}

# load_files FOLDER: put users' files in their place. Rows whose file is not there go: it was deleted while the
# backup was made.
load_files() {
  local file files="$DATA_DIR/files"
  mkdir -p "$files"
  chmod 700 "$files"
  for file in "$1"/files/*; do
    [ ! -f "$file" ] || mv -f "$file" "$files/"
  done
  {
    printf 'CREATE TEMP TABLE found (id text);\nCOPY found FROM STDIN;\n'
    ls "$files"
    printf '%s\n' '\.' "DELETE FROM llama_files WHERE purpose = 'batch' AND id NOT IN (SELECT id FROM found);"
  } | bash "$ROOT/runtime/postgres/control.sh" client psql -Xq -v ON_ERROR_STOP=1 >/dev/null
}
