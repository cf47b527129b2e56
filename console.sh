#!/usr/bin/env bash
# Summary: The appliance's command line: ./console.sh COMMAND [ARGUMENT …]
# Usage: ./console.sh COMMAND [ARGUMENT …]
#
# Each command is a file in runtime/commands/ or its upkeep/. `./console.sh help` lists them.

# Called as `sh console.sh`: go on with bash.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
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

# meant_by COMMAND ROOT: print the commands that may be meant by an unknown one; nothing if none comes to mind.
meant_by() {
  local file
  case "$1" in
    up | launch | serve | install) printf 'start' ;;
    down | kill | quit) printf 'stop' ;;
    ps | state) printf 'status' ;;
    ls | list) printf 'models' ;;
    download | get | fetch) printf 'pull' ;;
    switch | model) printf 'use' ;;
    update) printf 'upgrade' ;;
    check | diagnose) printf 'doctor' ;;
    user | users | adduser | *-user | *-users | *-key) printf '%s' './bin/user_management_cli.sh' ;;
    ??*)
      for file in "$2"/runtime/commands/"${1:0:2}"*.sh "$2"/runtime/commands/upkeep/"${1:0:2}"*.sh; do
        [ ! -f "$file" ] || basename "$file" .sh
      done
      ;;
  esac
}

# unknown_command COMMAND ROOT: say so, with what may be meant; exit 2.
unknown_command() {
  local meant=''
  case "$1" in *[!a-z-]*) ;; *) meant="$(meant_by "$1" "$2")" ;; esac
  printf 'error: unknown command: %s\n' "$1" >&2
  [ -z "$meant" ] || printf '  did you mean %s?\n' "${meant//$'\n'/, }" >&2
  printf 'usage: ./console.sh COMMAND [ARGUMENT …]\n  ./console.sh help lists the commands\n' >&2
  exit 2
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
  [ -z "$command" ] || unknown_command "$command" "$root"
  bash "$root/runtime/commands/help.sh" >&2
  exit 2
}

main "$@"
