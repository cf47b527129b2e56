#!/usr/bin/env bash
# Summary: Write the database, the keys, users' files and the configuration to one file
# Usage: ./console.sh backup FILE [--without-files]
#
# The appliance must run; it goes on serving. FILE (a .tar.gz, readable only for you) has the embedded
# database, the files that users have uploaded (not --without-files), runtime/config.env and .env, so it holds
# the model server's key and the hashes of the users' keys. Models are not in it. A database of your own
# (POSTGRES_AUTH_HOST, LLAMA_SERVER_DATABASE_URL) and its users' files are not in it either: use its own tools, and
# copy LLAMA_DATA_DIR/files. ./console.sh restore FILE brings everything back, in this checkout or another.
set -euo pipefail
umask 077

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

FOLDER=''

# Print the first lines of about.txt: the form, and what the backup was made of.
about() {
  printf '%s\n' 'Llamaserve backup 1' "made: $(date -u '+%Y-%m-%d %H:%M:%S UTC')" \
    "revision: $(git -C "$ROOT" rev-parse HEAD 2>/dev/null || printf unknown)" \
    "model: $(cat "$DATA_DIR/model" 2>/dev/null || printf none)"
}

# Copy the configuration files that exist. .env gets a name that ls shows.
copy_configuration() {
  local pair
  for pair in runtime/config.env:config.env .env:dot.env; do
    [ ! -f "$ROOT/${pair%%:*}" ] || cp "$ROOT/${pair%%:*}" "$FOLDER/${pair#*:}"
  done
}

dump_database() {
  supervisord_runs || die 'the database does not run' './console.sh start starts it'
  bash "$ROOT/runtime/postgres/control.sh" client pg_dump >"$FOLDER/database.sql" ||
    die 'the database could not be read' './console.sh doctor finds problems'
}

main() {
  local file="${1-}" files=''
  handle_help "$@"
  [ $# -eq 1 ] || { [ $# -eq 2 ] && [ "$2" = --without-files ]; } || usage_error 'name one file'
  [ -n "$file" ] || usage_error 'name one file'
  case "$file" in
    -*) usage_error "unknown option: $file" ;;
    /*) ;;
    *) file="$PWD/$file" ;;
  esac
  init_supervision
  [ -x "$PYTHON_BIN" ] || die 'not installed yet' './console.sh start installs and starts it'
  [ ! -e "$file" ] || die "$file exists" 'name another file, or remove it'
  read_config
  FOLDER="$(mktemp -d)"
  trap 'rm -rf "$FOLDER"' EXIT
  if [ "$PROXY$EMBEDDED" = 11 ]; then
    dump_database
    [ $# -eq 2 ] || files="$DATA_DIR/files"
  else
    warn 'the configuration alone is saved: the database is not the embedded one'
  fi
  copy_configuration
  about >"$FOLDER/about.txt"
  py -m runtime.upkeep.archive pack "$file" "$FOLDER" ${files:+"$files"}
  say "wrote $file ($(($(wc -c <"$file") / 1024 + 1)) KB). It holds secrets: keep it where only you can read it"
}

main "$@"
