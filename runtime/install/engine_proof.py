"""Proof that llama-cpp-python works: `python runtime/install/engine_proof.py MODEL` reads a prompt.

With `--images` behind it, llama.cpp's library for images must be there too.

Ends with 0, with a Python error, or by a signal if the library uses an instruction that this processor
does not execute. A script that imports nothing from this project: the installation runs it before the
environment is complete, and doctor runs it in a process that may end this way.
"""

from __future__ import annotations

import importlib
import sys

import llama_cpp

PROMPT_TOKENS = 40
"""More than one token: llama.cpp uses its matrix kernels only for several."""


def main() -> None:
    """Read a prompt of PROMPT_TOKENS tokens with the model."""
    model = llama_cpp.Llama(sys.argv[1], n_ctx=256, n_batch=64, verbose=False)
    model.eval(list(range(1, PROMPT_TOKENS + 1)))
    if sys.argv[2:] == ["--images"]:
        importlib.import_module("llama_cpp.mtmd_cpp")


if __name__ == "__main__":
    main()
