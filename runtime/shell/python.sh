#!/usr/bin/env bash
# Summary: Find a Python: find_python, package_command, has_modules.
# Environment: PYTHON   the Python to use (the newest of 3.13, 3.12, 3.11, else 3.14 or python3)
#
# To be sourced after lib.sh.

# find_python: print a Python >= 3.11 that can make virtual environments; exit 1 with how to get one.
find_python() {
  local candidate found='' reason
  if [ -n "${PYTHON:-}" ]; then
    reason="$(python_lacks "$PYTHON")"
    [ -z "$reason" ] || die "PYTHON=$PYTHON cannot be used: $reason" \
      'name another one, or unset PYTHON: then one is looked for'
    printf '%s' "$PYTHON"
    return
  fi
  for candidate in python3.13 python3.12 python3.11 python3.14 python3; do
    reason="$(python_lacks "$candidate")"
    if [ -z "$reason" ]; then
      printf '%s' "$candidate"
      return
    fi
    [ "$reason" = "$NO_SUCH_PYTHON" ] || found="$found; $candidate: $reason"
  done
  die "no Python 3.11 or newer (with its venv module) was found${found:+ (${found#; })}" "$(python_command)" \
    'or name one that is elsewhere: PYTHON=/path/to/python3 ./console.sh start'
}

NO_SUCH_PYTHON='it does not run'

# python_lacks PYTHON: print why no environment can be made with it; nothing if one can. It is run instead of
# looked up: a version manager's shim may exist without its Python.
python_lacks() {
  "$1" -c '
import sys
if sys.version_info < (3, 11):
    sys.stdout.write("Python %d.%d is too old" % sys.version_info[:2])
else:
    try:
        import venv, ensurepip
    except ImportError:
        sys.stdout.write("the module venv or ensurepip is missing")
' 2>/dev/null || printf '%s' "$NO_SUCH_PYTHON"
}

# Print the command that installs a Python.
python_command() {
  case "$(uname -s)" in
    Darwin) printf 'brew install python@3.12' ;;
    *) package_command 'python3 python3-venv' 'python3.12' ;;
  esac
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
