# Included by CMake after `project(llama_cpp)` (CMAKE_PROJECT_llama_cpp_INCLUDE): leaves llama.cpp's library
# of command-line helpers out, which llama-cpp-python's CMakeLists.txt turns on in the cache and nothing in its
# Python package uses. A normal variable takes precedence over the cached one.
set(LLAMA_BUILD_COMMON OFF)
