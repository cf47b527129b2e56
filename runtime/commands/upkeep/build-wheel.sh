#!/usr/bin/env bash
# Summary: Compile the engine into a wheel that other machines of this kind can install
# Usage: ./console.sh build-wheel [DIR]
#
# DIR is runtime/wheels/ by default. Copy the file into runtime/wheels/ of a checkout on another machine: its
# first start installs it instead of compiling. The processor there must know the instructions of this one;
# if it does not, that start notices and compiles. What was compiled here before is not compiled again.
#
# Environment: CMAKE_ARGS   compile with these arguments, for example '-DGGML_NATIVE=OFF -DGGML_AVX512=OFF' for
#   processors older than this one
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"

main() {
  local folder="$ROOT/runtime/wheels" file
  handle_help "$@"
  case "$#:${1-}" in
    0:) ;;
    1:-* | 1:) usage_error 'the only argument is a directory' ;;
    1:/*) folder="$1" ;;
    1:*) folder="$PWD/$1" ;;
    *) usage_error 'the only argument is a directory' ;;
  esac
  mkdir -p "$folder" || exit 1
  require_writable "$folder"
  file="$(bash "$ROOT/runtime/install.sh" --build-wheel "$folder")" || exit 1
  printf '%s\n' "$file"
  say 'put it into runtime/wheels/ of another checkout, then ./console.sh start there'
}

main "$@"
