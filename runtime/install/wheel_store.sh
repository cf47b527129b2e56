#!/usr/bin/env bash
# Summary: Wheels of llama-cpp-python that were built before: kept for other checkouts, or carried here.
#
# Sourced by engine.sh. A wheel that was compiled here is kept in the user's cache directory, under a key of
# all that its code depends on, so that a second checkout does not compile. A wheel that
# `./console.sh build-wheel` has made is found in runtime/wheels/. The key of a carried wheel is unknown:
# engine_works decides whether it fits this machine.

CARRIED_DIR="$ROOT/runtime/wheels"

# Print the processor's kind and the instructions that it knows.
processor_kind() {
  uname -sm
  sed -n -e '/^flags/p;/^Features/p' "${1:-/proc/cpuinfo}" 2>/dev/null | head -n 1
  sysctl -n machdep.cpu.brand_string 2>/dev/null || :
}

# Print the directory that keeps the wheel for this machine, version and CMAKE_ARGS. The directory need not
# exist. Fails if the user has no home directory.
store_dir() {
  local sum bytes cache="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}"
  [ -n "$cache" ] || return 1
  read -r sum bytes <<<"$({
    cat "$ROOT/runtime/requirements-engine.txt"
    processor_kind
    cat "$ROOT/runtime/install/without_common.cmake"
    printf '%s\n' "${CMAKE_ARGS:-}" "${CC:-}" "${CXX:-}" "${CFLAGS:-}" "${CXXFLAGS:-}"
    printf '%s' "${WITH_IMAGES:-}"
  } | cksum)"
  printf '%s/llamaserve/engine/%s-%s' "$cache" "$sum" "$bytes"
}

# wheel_in DIRECTORY: print the newest wheel there; nothing if there is none, or if other users may have
# written it: its code would run as this user.
wheel_in() {
  local file newest=''
  [ -O "$1" ] || return 0
  for file in "$1"/llama_cpp_python-*.whl; do
    [ -f "$file" ] && [ -O "$file" ] || continue
    [ -n "$newest" ] && [ ! "$file" -nt "$newest" ] || newest="$file"
  done
  printf '%s' "$newest"
}

# keep_wheel FILE: store a wheel that works. A full disk is no error.
keep_wheel() {
  local folder
  folder="$(store_dir)" || return 0
  (umask 077 && mkdir -p "$folder" && cp "$1" "$folder/.new.$$" &&
    mv -f "$folder/.new.$$" "$folder/$(basename "$1")") 2>/dev/null || rm -f "$folder/.new.$$"
}

# install_wheel_file WHAT FILE: 0 if the wheel was installed and the engine works.
install_wheel_file() {
  run_logged "$1" "$VENV_DIR/bin/python" -m pip install --no-deps --no-index --force-reinstall "$2" &&
    engine_works
}

# Install the wheel in runtime/wheels/; 1 if there is none that works.
install_carried_wheel() {
  local file
  file="$(wheel_in "$CARRIED_DIR")"
  case "$file" in
    '') return 1 ;;
    *"-$(engine_version)-"*) ;;
    *)
      warn "$file is not used: version $(engine_version) is needed"
      return 1
      ;;
  esac
  install_wheel_file 'installing the engine from runtime/wheels' "$file" ||
    { warn "$file does not work on this machine" && return 1; }
}

# Install the wheel that was compiled here before; 1 if there is none that works.
install_kept_wheel() {
  local folder file
  folder="$(store_dir)" && file="$(wheel_in "$folder")" && [ -n "$file" ] || return 1
  install_wheel_file 'installing the engine that was compiled here before' "$file"
}
