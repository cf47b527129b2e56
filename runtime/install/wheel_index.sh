#!/usr/bin/env bash
# Summary: Install a ready-made llama-cpp-python from its index of wheels, if one works on this machine.
#
# Sourced by engine.sh.

WHEEL_INDEX='https://abetlen.github.io/llama-cpp-python/whl'

# Print the driver's CUDA version as `MAJOR MINOR`; nothing if there is no NVIDIA GPU.
cuda_version() {
  nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' || :
}

# 0 if CUDA can be built here.
can_build_cuda() { [ -n "$(cuda_version)" ] && command -v nvcc >/dev/null 2>&1; }

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
  can_build_cuda || printf 'cpu\n'
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

# Install the first wheel of the index that works here; 1 if there is none.
install_indexed_wheel() {
  local flavour status
  for flavour in $(wheel_flavours); do
    status=0
    probe "$flavour" || status=$?
    case "$status" in
      0) ;;
      1) continue ;;
      *) return 1 ;;
    esac
    if run_logged "installing the engine ($flavour wheel)" pip_engine \
      --only-binary llama-cpp-python --index-url "$WHEEL_INDEX/$flavour" && engine_works; then
      return 0
    fi
  done
  return 1
}
