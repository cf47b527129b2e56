"""llama.cpp's own log lines, brought into Python's logging.

While it loads a model, llama_cpp sends its output to /dev/null unless it is verbose; why a load failed
would be lost with it.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable

import llama_cpp

logger = logging.getLogger("llama.cpp")

# enum ggml_log_level in ggml.h (llama_cpp's own table is of an older release). 5 continues a line.
_DEBUG, _ERROR = 1, 4
_LEVELS = {_DEBUG: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, _ERROR: logging.ERROR}


class LlamaLog:
    """Receives llama.cpp's log from now on, for the whole process: keep it as long as that runs.

    Errors are always logged, the rest when verbose.
    """

    def __init__(self, *, verbose: bool) -> None:
        self.first_error = ""
        """The cause; later lines tell how it was passed on."""
        self.is_expected: Callable[[], bool] = lambda: False
        """Whether errors are expected now, because we abort steps."""
        logger.setLevel(logging.DEBUG if verbose else logging.ERROR)
        self._callback = llama_cpp.llama_log_callback(self._write)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))

    def receive(self, set_log: Callable[..., object]) -> None:
        """Receive the log of another of llama.cpp's libraries too, by its function for that."""
        set_log(self._callback, ctypes.c_void_p(0))

    def _write(self, level: int, text: bytes, _user_data: object) -> None:
        line = text.decode("utf-8", "replace").strip()
        if level == _ERROR and self.is_expected():
            level = _DEBUG
        if level == _ERROR and not self.first_error:
            self.first_error = line
        if line:
            logger.log(_LEVELS.get(level, logging.DEBUG), "%s", line)
