#!/usr/bin/env bash
# Summary: What of an installation is there, and what the configuration asks for.
#
# Sourced by install.sh. A file in the environment has a line for each part that was installed completely.

# wanted_stamp packages|base|tests|dashboard|images: print the line that `stamp` records after a complete
# installation. It changes with the requirements and with the Python version. `packages` is `base` without the
# engine. `tests`, `dashboard` and `images` have lines of their own: not every installation has them.
wanted_stamp() {
  local files=("$ROOT/runtime/requirements.txt" "$ROOT/runtime/requirements-engine.txt")
  case "$1" in
    packages) files=("$ROOT/runtime/requirements.txt") ;;
    tests) files=("$ROOT/runtime/requirements-dev.txt") ;;
    dashboard) files=("$ROOT/runtime/requirements-dashboard.txt") ;;
    images) files=("$ROOT/runtime/requirements-images.txt" "$ROOT/runtime/requirements-engine.txt") ;;
  esac
  printf '%s %s %s' "$1" "$(cat "${files[@]}" | cksum | tr ' ' -)" \
    "$("$VENV_DIR/bin/python" -V 2>/dev/null || printf none)"
}

is_installed() {
  grep -qxF "$(wanted_stamp "$1")" "$VENV_DIR/llamaserve-installed" 2>/dev/null
}

has_packages() { is_installed base || is_installed packages; }

# 0 if the configuration has the dashboard run. A bad configuration is reported by whoever uses it.
wants_dashboard() {
  [ "$(cd "$ROOT" && "$VENV_DIR/bin/python" -m runtime.config get runs_dashboard 2>/dev/null)" = 1 ]
}

lacks_dashboard() { ! is_installed dashboard && wants_dashboard; }

# 0 if the configuration has the model read images. Python is asked only if a file names the key.
wants_images() {
  [ -n "${LLAMA_SERVER_MMPROJ:-}" ] ||
    grep -qs '^LLAMA_SERVER_MMPROJ=.' "$ROOT/runtime/config.env" "$ROOT/.env" || return 1
  [ -n "$(cd "$ROOT" && "$VENV_DIR/bin/python" -m runtime.config get LLAMA_SERVER_MMPROJ 2>/dev/null)" ]
}

lacks_images() { ! is_installed images && wants_images; }

# stamp NAME: record that the installation of that name is complete.
stamp() {
  local file="$VENV_DIR/llamaserve-installed"
  {
    grep -v "^$1 " "$file" 2>/dev/null || :
    wanted_stamp "$1"
    printf '\n'
  } >"$file.$$"
  mv -f "$file.$$" "$file"
}
