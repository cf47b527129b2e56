#!/usr/bin/env bash
# Summary: Find a Python: find_python, package_command, has_modules.
# Environment: PYTHON   the Python to use (the newest of 3.13, 3.12, 3.11, else 3.14 or python3)
#
# To be sourced after lib.sh.

# find_python: print a Python >= 3.11 that can make virtual environments; exit 1 with how to get one.
find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.14 python3; do
    # Run it instead of looking it up: a version manager's shim may exist without its Python.
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
      >/dev/null 2>&1; then
      printf '%s' "$candidate"
      return
    fi
  done
  case "$(uname -s)" in
    Darwin) set -- 'brew install python@3.12' ;;
    *) set -- "$(package_command 'python3 python3-venv' 'python3.12')" ;;
  esac
  die 'no Python 3.11 or newer (with its venv module) was found' "$1" \
    "or name one: PYTHON=/path/to/python3 $0"
}

# package_command DEBIAN REDHAT: print the command that installs these packages on this system.
package_command() {
  if command -v apt-get >/dev/null 2>&1; then
    printf 'sudo apt-get install %s' "$1"
  elif command -v dnf >/dev/null 2>&1; then
    printf 'sudo dnf install %s' "$2"
  else
    printf 'install %s with the package manager of this system' "$2"
  fi
}

# has_modules PYTHON MODULE...: 0 if PYTHON exists and finds these modules, without importing them.
has_modules() {
  local python="$1"
  shift
  [ -x "$python" ] && "$python" -c \
    'import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))' \
    "$@" 2>/dev/null
}
