#!/usr/bin/env bash
# Summary: Make the Python environment and runtime/config.env, where they are missing or outdated.
# Usage: runtime/install.sh [--with tests]
#
#   --with tests   also what the tests and .ci/run need
#
# `./console.sh start` calls it. A second run changes nothing. An interrupted one is taken up again.
#
# Environment:
#   LLAMA_VENV_DIR   where the environment is made (runtime/.venv)
#   PYTHON           the Python to make it with (the newest of 3.13, 3.12, 3.11, else python3)
#   CMAKE_ARGS       build llama-cpp-python from source with these, whatever wheel there may be
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/shell/python.sh
. "$ROOT/runtime/shell/python.sh"
# shellcheck source=runtime/install/engine_build.sh
. "$ROOT/runtime/install/engine_build.sh"

# What the environment must have been made from; compared with what it was made from.
# The file for `tests` counts apart, since not every installation has it.
wanted_stamp() {
  local files=("$ROOT/runtime/requirements.txt" "$ROOT/runtime/requirements-engine.txt")
  [ "$1" = base ] || files=("$ROOT/runtime/requirements-dev.txt")
  printf '%s %s %s' "$1" "$(cat "${files[@]}" | cksum | tr ' ' -)" \
    "$("$VENV_DIR/bin/python" -V 2>/dev/null || printf none)"
}

is_installed() {
  grep -qxF "$(wanted_stamp "$1")" "$VENV_DIR/llamaserve-installed" 2>/dev/null
}

stamp() {
  local file="$VENV_DIR/llamaserve-installed"
  {
    grep -v "^$1 " "$file" 2>/dev/null || :
    wanted_stamp "$1"
    printf '\n'
  } >"$file.$$"
  mv -f "$file.$$" "$file"
}

make_venv() {
  local python
  if "$VENV_DIR/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
    "$VENV_DIR/bin/python" -m pip --version >/dev/null 2>&1; then
    return
  fi
  if [ -d "$VENV_DIR" ] && [ ! -e "$VENV_DIR/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV_DIR")" ]; then
    die "$VENV_DIR is not a Python environment and not empty" \
      'set LLAMA_VENV_DIR to another directory'
  fi
  python="$(find_python)"
  say "making a Python environment ($("$python" -V)) in $VENV_DIR"
  "$python" -m venv --clear "$VENV_DIR" >>"$LOG_DIR/install.log" 2>&1 ||
    fail_with_log 'the Python environment could not be made'
}

# The lock names every dependency, so pip need not look for any (--no-deps).
install_locked() {
  run_logged "installing $2" "$VENV_DIR/bin/python" -m pip install --no-deps --require-hashes \
    --requirement "$ROOT/runtime/$1" || fail_with_log "$2 could not be installed"
}

install_base() {
  make_venv
  install_locked requirements.txt 'the locked dependencies'
  install_engine
  "$VENV_DIR/bin/python" -m pip check >>"$LOG_DIR/install.log" 2>&1 ||
    fail_with_log 'the installed packages do not fit together'
  stamp base
}

# The key is made in the shell, from the system's randomness, so that this needs no environment.
write_config() {
  local file="$ROOT/runtime/config.env" key
  [ ! -e "$file" ] || return 0
  key="$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | dd bs=1 count=43 2>/dev/null || :)"
  [ "${#key}" -eq 43 ] || die 'no randomness could be had from /dev/urandom'
  (
    umask 077
    printf '%s\n' "# Made by runtime/install.sh. runtime/config.env.example documents every key." \
      "LLAMA_SERVER_API_KEY=$key" >"$file.$$"
    # A link instead of a move: of two installations at once the first one's key stays.
    ln "$file.$$" "$file" 2>/dev/null || :
    rm -f "$file.$$"
  )
  say "wrote runtime/config.env with a fresh LLAMA_SERVER_API_KEY"
}

main() {
  local tests=''
  case "$*" in
    '') ;;
    '--with tests') tests=1 ;;
    *) usage_error "cannot be understood: $*" ;;
  esac
  load_paths
  write_config
  if is_installed base && { [ -z "$tests" ] || is_installed tests; }; then
    return 0
  fi
  (umask 077 && mkdir -p "$LOG_DIR" && mkdir -p "$(dirname "$VENV_DIR")")
  take_lock "$VENV_DIR.lock" install
  trap 'release_lock "$VENV_DIR.lock"' EXIT
  (umask 077 && : >>"$LOG_DIR/install.log")
  # Another installation may have done it while this one waited for the lock.
  is_installed base || install_base
  if [ -n "$tests" ] && ! is_installed tests; then
    install_locked requirements-dev.txt 'what the tests need'
    stamp tests
  fi
}

main "$@"
