#!/usr/bin/env bash
# Summary: Create the Python environment and runtime/config.env, if they are missing or outdated.
# Usage: runtime/install.sh [--with tests | --packages | --check | --build-wheel DIR]
#
#   --with tests   install what the tests and .ci/run need, too
#   --packages     leave llama-cpp-python out, which may have to be compiled
#   --check        change nothing; exit status 1 if something is missing
#   --build-wheel  compile llama-cpp-python into DIR, or copy the wheel that was compiled here before
#
# `./console.sh start` calls this script. A second run changes nothing. Run it again after an interruption:
# it continues with what is missing.
#
# Environment:
#   LLAMA_VENV_DIR   the directory of the Python environment (default: runtime/.venv)
#   PYTHON           the Python to use (default: the newest of 3.13, 3.12 and 3.11, else 3.14 or python3)
#   CMAKE_ARGS       build llama-cpp-python from source with these arguments, even if there is a wheel
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/shell/python.sh
. "$ROOT/runtime/shell/python.sh"
# shellcheck source=runtime/install/engine.sh
. "$ROOT/runtime/install/engine.sh"
# shellcheck source=runtime/install/stamps.sh
. "$ROOT/runtime/install/stamps.sh"

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
  STEP_BEGIN="$(wc -c <"$LOG_DIR/install.log")"
  say "creating a Python environment ($("$python" -V)) in $VENV_DIR"
  "$python" -m venv --clear "$VENV_DIR" >>"$LOG_DIR/install.log" 2>&1 ||
    fail_with_log 'the Python environment could not be created'
}

# install_locked FILE WHAT: the locked file names every dependency, so pip does not resolve any (--no-deps).
install_locked() {
  run_logged "installing $2" "$VENV_DIR/bin/python" -m pip install --no-deps --require-hashes \
    --requirement "$ROOT/runtime/$1" || fail_with_log "$2 could not be installed"
}

install_packages() {
  make_venv
  install_locked requirements.txt 'the packages'
  stamp packages
}

# install_base [tests]: the engine too; with its library for images where that is wanted.
install_base() {
  is_installed packages || install_packages
  if [ -n "${1:-}" ] || wants_images; then
    WITH_IMAGES=1
  fi
  install_engine
  "$VENV_DIR/bin/python" -m pip check >>"$LOG_DIR/install.log" 2>&1 ||
    fail_with_log 'the installed packages conflict with each other'
  stamp base
}

install_images() {
  install_locked requirements-images.txt 'what reads images'
  WITH_IMAGES=1
  install_engine
  stamp images
}

# The key is made in the shell, from the system's random numbers: this works without a Python environment.
write_config() {
  local file="$ROOT/runtime/config.env" key
  [ ! -e "$file" ] || return 0
  key="$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | dd bs=1 count=43 2>/dev/null || :)"
  [ "${#key}" -eq 43 ] || die '/dev/urandom gave no random numbers'
  require_writable "$ROOT/runtime"
  (
    umask 077
    printf '%s\n' "# Written by runtime/install.sh. runtime/config.env.example documents every key." \
      "LLAMA_SERVER_API_KEY=$key" >"$file.$$"
    # A link instead of a move: if two installations run at once, the first one's key stays.
    ln "$file.$$" "$file" 2>/dev/null || :
    rm -f "$file.$$"
  )
  say "wrote runtime/config.env with a new LLAMA_SERVER_API_KEY"
}

# Compile the engine into a directory, install it here, and print the wheel's path.
build_wheel() {
  is_installed packages || install_packages
  if wants_images; then
    WITH_IMAGES=1
  fi
  export_wheel "$1"
  stamp base
}

# The administrator's key has a checksum, which Python makes. It is added to the file of an earlier release too;
# an empty value stays empty.
add_admin_key() {
  local file="$ROOT/runtime/config.env" key
  ! grep -q '^LLAMA_ADMIN_KEY=' "$file" && [ -w "$file" ] || return 0
  key="$(cd "$ROOT" && "$VENV_DIR/bin/python" -c \
    'from proxy.identity.keys import create_key; print(create_key().key)')" || return 0
  [ -z "$(tail -c 1 "$file")" ] || printf '\n' >>"$file"
  printf 'LLAMA_ADMIN_KEY=%s\n' "$key" >>"$file"
}

main() {
  local tests='' packages='' wheels=''
  handle_help "$@"
  case "$*" in
    '') ;;
    '--with tests') tests=1 ;;
    --packages) packages=1 ;;
    '--build-wheel '?*) wheels="$2" ;;
    --check)
      load_paths
      is_installed base || return 1
      ! lacks_dashboard || return 1
      ! lacks_images || return 1
      return 0
      ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  load_paths
  write_config
  install_wanted
  add_admin_key
}

# Install what is missing of what main was asked for.
install_wanted() {
  if [ -n "$packages" ] && has_packages; then
    return 0
  fi
  if [ -z "$wheels" ] && is_installed base && ! lacks_dashboard && ! lacks_images &&
    { [ -z "$tests" ] || { is_installed tests && is_installed dashboard && is_installed images; }; }; then
    return 0
  fi
  (umask 077 && mkdir -p "$LOG_DIR" && mkdir -p "$(dirname "$VENV_DIR")")
  take_lock "$VENV_DIR.lock" install
  trap 'release_lock "$VENV_DIR.lock"' EXIT
  (umask 077 && : >>"$LOG_DIR/install.log")
  # Another installation may have finished while this one waited for the lock.
  if [ -n "$wheels" ]; then
    build_wheel "$wheels"
    return
  fi
  if [ -n "$packages" ]; then
    has_packages || install_packages
    return
  fi
  is_installed base || install_base "$tests"
  if lacks_dashboard || { [ -n "$tests" ] && ! is_installed dashboard; }; then
    install_locked requirements-dashboard.txt 'the dashboard'
    stamp dashboard
  fi
  if lacks_images || { [ -n "$tests" ] && ! is_installed images; }; then
    install_images
  fi
  if [ -n "$tests" ] && ! is_installed tests; then
    install_locked requirements-dev.txt 'what the tests need'
    stamp tests
  fi
}

main "$@"
