#!/usr/bin/env bash
# Summary: The appliance's command line: ./console.sh COMMAND [ARGUMENT …]
# Usage: ./console.sh COMMAND [ARGUMENT …]
#
# Each command is a file in runtime/commands/ or its upkeep/. `./console.sh help` lists them.
set -euo pipefail

# Print the checkout's directory, also if this file is called through symbolic links.
checkout() {
  local path="$1" target
  while [ -L "$path" ]; do
    target="$(readlink "$path")"
    case "$target" in
      /*) path="$target" ;;
      *) path="$(dirname -- "$path")/$target" ;;
    esac
  done
  CDPATH='' cd -- "$(dirname -- "$path")" && pwd -P
}

main() {
  local root folder command="${1-}"
  root="$(checkout "${BASH_SOURCE[0]}")"
  [ $# -eq 0 ] || shift
  case "$command:${1-}" in
    test:*) ;; # pytest has a --help of its own
    [a-z]*:-h | [a-z]*:--help) set -- "$command" && command='help' ;;
  esac
  case "$command" in
    -h | --help) command='help' ;;
    '' | -* | *[!a-z-]*) ;;
    *)
      for folder in commands commands/upkeep; do
        [ ! -f "$root/runtime/$folder/$command.sh" ] ||
          exec bash "$root/runtime/$folder/$command.sh" "$@"
      done
      ;;
  esac
  [ "$command" != 'help' ] || exec bash "$root/runtime/commands/help.sh"
  [ -z "$command" ] || printf 'error: unknown command: %s\n' "$command" >&2
  bash "$root/runtime/commands/help.sh" >&2
  exit 2
}

main "$@"
