#!/usr/bin/env bash
# Summary: Install llama-cpp-python: a wheel that works on this machine, else a build from source.
#
# To be sourced by runtime/install.sh, after lib.sh and python.sh. The room runtime/install/ holds the long
# steps of an installation: this file decides where the engine comes from; wheel_store.sh has the wheels that
# were built before, wheel_index.sh the ready-made ones, engine_build.sh the compiler, progress.sh the log
# and the progress that is shown. The room leaves the environment and the other packages to
# runtime/install.sh, which is its front door.

# shellcheck source=runtime/install/progress.sh
. "$ROOT/runtime/install/progress.sh"
# shellcheck source=runtime/install/wheel_store.sh
. "$ROOT/runtime/install/wheel_store.sh"
# shellcheck source=runtime/install/wheel_index.sh
. "$ROOT/runtime/install/wheel_index.sh"
# shellcheck source=runtime/install/engine_build.sh
. "$ROOT/runtime/install/engine_build.sh"

# Print the version of llama-cpp-python that is wanted.
engine_version() { sed 's/.*==//' "$ROOT/runtime/requirements-engine.txt"; }

pip_engine() {
  "$VENV_DIR/bin/python" -m pip install --no-deps --force-reinstall "$@" \
    --requirement "$ROOT/runtime/requirements-engine.txt"
}

# 0 if llama.cpp reads a prompt with the starter model. A wheel may be built for another C library or for a
# missing CUDA. A wheel or a build may use instructions that this processor or virtual machine does not
# execute: then the first prompt ends the process. Where WITH_IMAGES is set, 0 only if its library for images is
# there too.
engine_works() {
  # A subshell, since bash reports the signal that ended a command.
  (
    "$VENV_DIR/bin/python" "$ROOT/runtime/install/engine_proof.py" \
      "$ROOT/models/starter/llamaserve-starter.gguf" ${WITH_IMAGES:+--images} || exit 1
  ) >/dev/null 2>&1
}

engine_is_installed() {
  "$VENV_DIR/bin/python" - "$(engine_version)" <<'END' 2>/dev/null && engine_works
import sys
from importlib.metadata import version
sys.exit(version("llama-cpp-python") != sys.argv[1])
END
}

# Install the engine from the first source that works here. CMAKE_ARGS given by the user mean a build with them.
install_engine() {
  local given="${CMAKE_ARGS:-}"
  ! engine_is_installed || return 0
  [ -n "$given" ] || choose_arguments
  if [ -z "$given" ]; then
    ! install_carried_wheel || return 0
  fi
  ! install_kept_wheel || return 0
  if [ -z "$given" ]; then
    ! install_indexed_wheel || return 0
  fi
  build_engine "$given"
}
