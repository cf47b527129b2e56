#!/usr/bin/env bash
# Summary: Install llama-cpp-python: a wheel that works on this machine, else a build from source.
#
# To be sourced by runtime/install.sh, after lib.sh and python.sh. The room runtime/install/ holds the long
# steps of an installation: this one, and in progress.sh their log and the progress that is shown. It leaves
# the environment itself and the other packages to runtime/install.sh, which is its front door.

# shellcheck source=runtime/install/progress.sh
. "$ROOT/runtime/install/progress.sh"

WHEEL_INDEX='https://abetlen.github.io/llama-cpp-python/whl'

# Print the driver's CUDA version as `MAJOR MINOR`; nothing if there is no NVIDIA GPU.
cuda_version() {
  nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' || :
}

# Print the variants of the wheel index that may work on this machine, the best first.
wheel_flavours() {
  local version minor
  version="$(cuda_version)"
  case "$(uname -s)-$(uname -m)" in
    Darwin-arm64) printf 'metal\n' ;;
  esac
  if [ -n "$version" ]; then
    # A driver runs programs that were built for an older minor version of the same CUDA.
    minor="${version#* }"
    while [ "$minor" -ge 0 ]; do
      printf 'cu%s%s\n' "${version% *}" "$minor"
      minor=$((minor - 1))
    done
  fi
  # If CUDA can be built here, a wheel for the CPU alone would waste the GPU.
  { [ -n "$version" ] && command -v nvcc >/dev/null 2>&1; } || printf 'cpu\n'
}

# probe FLAVOUR: 0 if the index has that page, 1 if not, 2 if the index cannot be reached.
# The alarm also covers a name server that does not answer, which urllib's time-out does not.
probe() {
  "$VENV_DIR/bin/python" - "$WHEEL_INDEX/$1/llama-cpp-python/" <<'END' 2>/dev/null
import signal, sys, urllib.error, urllib.request
signal.signal(signal.SIGALRM, lambda *_: sys.exit(2))
signal.alarm(5)
try:
    urllib.request.urlopen(sys.argv[1], timeout=3).read()
except urllib.error.HTTPError:
    sys.exit(1)
except OSError:
    sys.exit(2)
END
}

pip_engine() {
  "$VENV_DIR/bin/python" -m pip install --no-deps --force-reinstall "$@" \
    --requirement "$ROOT/runtime/requirements-engine.txt"
}

# 0 if llama.cpp reads a prompt with the starter model. A wheel may be built for another C library or for a
# missing CUDA. A wheel or a build may use instructions that this processor or virtual machine does not
# execute: then the first prompt ends the process.
engine_works() {
  # A subshell, since bash reports the signal that ended a command.
  (
    "$VENV_DIR/bin/python" "$ROOT/runtime/install/engine_proof.py" \
      "$ROOT/models/starter/llamaserve-starter.gguf" || exit 1
  ) >/dev/null 2>&1
}

engine_is_installed() {
  local wanted
  wanted="$(sed 's/.*==//' "$ROOT/runtime/requirements-engine.txt")"
  "$VENV_DIR/bin/python" - "$wanted" <<'END' 2>/dev/null && engine_works
import sys
from importlib.metadata import version
sys.exit(version("llama-cpp-python") != sys.argv[1])
END
}

install_wheel() {
  local flavour status
  for flavour in $(wheel_flavours); do
    status=0
    probe "$flavour" || status=$?
    case "$status" in
      0) ;;
      1) continue ;;
      *) return 1 ;;
    esac
    if run_logged "installing llama-cpp-python ($flavour wheel)" pip_engine \
      --only-binary llama-cpp-python --index-url "$WHEEL_INDEX/$flavour" && engine_works; then
      return 0
    fi
  done
  return 1
}

# Without a compiler, a mirror or pip's own configuration may still provide a wheel.
build_engine() {
  if ! "${CC:-cc}" --version >/dev/null 2>&1 || ! "${CXX:-c++}" --version >/dev/null 2>&1; then
    if run_logged 'looking for a llama-cpp-python wheel' pip_engine \
      --only-binary llama-cpp-python && engine_works; then
      return 0
    fi
    die 'llama-cpp-python must be built here, and there is no C/C++ compiler' "$(compiler_command)"
  fi
  avoid_amx
  # Otherwise pip would use a wheel that it built before, perhaps with other CMAKE_ARGS.
  set -- ${CMAKE_ARGS:+--no-cache-dir}
  run_logged 'building llama-cpp-python (this takes some minutes)' pip_engine "$@" ||
    fail_with_log 'llama-cpp-python could not be built'
  engine_works || fail_with_log 'llama-cpp-python was built, but it cannot read a prompt with the starter model'
}

# avoid_amx [CPUINFO]: set CMAKE_ARGS to a build without llama.cpp's AMX kernels if the processor has AMX.
#
# Compiled by gcc they end the process with an illegal instruction: the compiler drops the stores of the
# tile configuration (https://github.com/ggml-org/llama.cpp/pull/26954). -march=native compiles them in, so
# the flag is given here without them. CMAKE_ARGS set by the user stay as they are.
avoid_amx() {
  local flags='-march=native -mno-amx-tile -mno-amx-int8 -mno-amx-bf16'
  [ -z "${CMAKE_ARGS:-}" ] && grep -qw amx_tile "${1:-/proc/cpuinfo}" 2>/dev/null || return 0
  export CMAKE_ARGS="-DGGML_NATIVE=OFF '-DCMAKE_C_FLAGS=$flags' '-DCMAKE_CXX_FLAGS=$flags'"
}

compiler_command() {
  case "$(uname -s)" in
    Darwin) printf 'xcode-select --install' ;;
    *) package_command 'build-essential python3-dev' 'gcc-c++ make python3-devel' ;;
  esac
}

install_engine() {
  ! engine_is_installed || return 0
  if [ -z "${CMAKE_ARGS:-}" ]; then
    ! install_wheel || return 0
    if [ -n "$(cuda_version)" ] && command -v nvcc >/dev/null 2>&1; then
      export CMAKE_ARGS='-DGGML_CUDA=on'
    fi
  fi
  build_engine
}
