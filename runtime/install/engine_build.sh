#!/usr/bin/env bash
# Summary: Compile llama-cpp-python for this machine, without what the engine does not use.
#
# Sourced by engine.sh. Only llama.cpp's library and its kernels are compiled, and its library for images
# (LLAVA_BUILD) where WITH_IMAGES is set: that one and the command-line helpers, which nothing here loads, are
# 39 % of the compiler's time.

# A compiler process takes up to this many bytes (gcc 12, the largest file of llama.cpp).
COMPILER_BYTES=1300000000

# Set CMAKE_ARGS to what suits this machine, if the user has not.
choose_arguments() {
  if can_build_cuda; then
    export CMAKE_ARGS='-DGGML_CUDA=on'
  else
    avoid_amx
  fi
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

# Print the arguments for CMake: what is left out, then CMAKE_ARGS, which takes precedence.
build_arguments() {
  local file="$ROOT/runtime/install/without_common.cmake" images=OFF
  [ -z "${WITH_IMAGES:-}" ] || images=ON
  case "${CMAKE_ARGS:-}" in
    *LLAVA_BUILD*) ;;
    *) printf "%s '%s' " "-DLLAVA_BUILD=$images" "-DCMAKE_PROJECT_llama_cpp_INCLUDE=${file//\'/\'\\\'\'}" ;;
  esac
  printf '%s' "${CMAKE_ARGS:-}"
}

# Print how many compilers run at a time: one for each processor, as far as the memory suffices.
build_jobs() {
  (cd "$ROOT" && "$VENV_DIR/bin/python" -m runtime.machine "$COMPILER_BYTES") 2>/dev/null || printf 1
}

# compile_wheel DIRECTORY GIVEN: build the wheel into the directory. GIVEN are the user's CMAKE_ARGS: with
# them a ready-made wheel of a mirror does not do. Without pip's cache, which does not know CMAKE_ARGS.
compile_wheel() {
  local folder="$1"
  set -- ${2:+--no-binary llama-cpp-python}
  # shellcheck disable=SC2153 # install.sh has set VENV_DIR
  run_logged 'compiling the engine (llama.cpp) for this machine' env CMAKE_ARGS="$(build_arguments)" \
    CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs)}" \
    "$VENV_DIR/bin/python" -m pip wheel --verbose --no-deps --no-cache-dir "$@" \
    --wheel-dir "$folder" --requirement "$ROOT/runtime/requirements-engine.txt" ||
    fail_with_log 'llama-cpp-python could not be built'
}

has_compiler() {
  "${CC:-cc}" --version >/dev/null 2>&1 && "${CXX:-c++}" --version >/dev/null 2>&1
}

# build_engine GIVEN: compile, install and keep the engine; exit 1 if that fails. Without a compiler, a mirror
# or pip's own configuration may still provide a wheel.
build_engine() {
  local folder="$VENV_DIR/llamaserve-wheel" file
  if ! has_compiler; then
    if run_logged 'looking for a llama-cpp-python wheel' pip_engine \
      --only-binary llama-cpp-python && engine_works; then
      return 0
    fi
    die 'llama-cpp-python must be built here, and there is no C/C++ compiler' "$(compiler_command)"
  fi
  rm -rf "$folder"
  compile_wheel "$folder" "$1"
  file="$(wheel_in "$folder")"
  install_wheel_file 'installing the engine' "$file" ||
    fail_with_log 'llama-cpp-python was built, but it cannot read a prompt with the starter model'
  keep_wheel "$file"
  rm -rf "$folder"
}

# export_wheel DIRECTORY: print the path of a wheel there that works on this machine; it is compiled unless that
# was done before.
export_wheel() {
  local given="${CMAKE_ARGS:-}" folder file
  [ -n "$given" ] || choose_arguments
  folder="$(store_dir)" || die 'there is no directory to keep the wheel in' 'set HOME or XDG_CACHE_HOME'
  install_kept_wheel || build_engine "$given"
  file="$(wheel_in "$folder")"
  [ -n "$file" ] || die 'no wheel was compiled' "see $LOG_DIR/install.log"
  cp "$file" "$1/"
  printf '%s/%s\n' "$1" "$(basename "$file")"
}

compiler_command() {
  case "$(uname -s)" in
    Darwin) printf 'xcode-select --install' ;;
    *) package_command 'build-essential python3-dev' 'gcc-c++ make python3-devel' ;;
  esac
}
