"""Decodes image files, which come from strangers, in a process of its own for each.

The process has bounds of memory and processor time, no environment, and nothing of any other request.
`python -I decoding.py` is that process: it imports Pillow and nothing of the engine. It reads a file
from its standard input, and writes a line with width and height, and then the pixels, three bytes each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_PIXELS = 25_000_000
"""Of a file; an image with more is refused before it is decoded."""
MAX_SIDE = 2048
"""Pixels; a larger image is made smaller. More than any projector looks at."""
MAX_RATIO = 50
"""Of the longer side to the shorter one."""
_SECONDS = 5
"""Processor time of one image."""
_PATIENCE_S = 30.0
"""Elapsed time of one image: the process gives way to the model's threads."""
_MEMORY_BYTES = 2**29
_NICENESS = 10
_MOST_BYTES = 3 * MAX_SIDE**2 + 16
"""Of a reply."""
_REASONS = {
    b"large": f"it has more than the {MAX_PIXELS} pixels that are allowed",
    b"narrow": f"one side may be {MAX_RATIO} times as long as the other at most",
}
"""What the process may reply instead of an image."""


@dataclass(frozen=True)
class Bitmap:
    """A decoded image."""

    width: int
    height: int
    pixels: bytes
    """Red, green and blue of each pixel, row by row."""


class DecodingError(Exception):
    """The file is no image that can be read. The text says why, after the image's name and a colon."""


def decode(data: bytes) -> Bitmap:
    """Decode a PNG or JPEG file. Takes from a tenth of a second to `_PATIENCE_S`.

    Raises:
        DecodingError: it cannot be read, or is too large.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    feeder = threading.Thread(target=_feed, args=(child.stdin, data), daemon=True)
    alarm = threading.Timer(_PATIENCE_S, child.kill)
    feeder.start()
    alarm.start()
    try:
        # Bounded, because nothing is certain of a process that was made to run other code.
        reply = child.stdout.read(_MOST_BYTES)
    finally:
        alarm.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
        feeder.join()
    return _bitmap(reply)


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with suppress(OSError), pipe:
        pipe.write(data)


def _bitmap(reply: bytes) -> Bitmap:
    head, _, pixels = reply.partition(b"\n")
    if size := re.fullmatch(rb"([0-9]{1,4}) ([0-9]{1,4})", head):
        width, height = int(size[1]), int(size[2])
        if len(pixels) == 3 * width * height > 0:
            return Bitmap(width, height, pixels)
    if head in _REASONS:
        raise DecodingError(_REASONS[head])
    raise DecodingError("it is no PNG or JPEG that can be decoded within bounds of memory and time")


def _main() -> None:
    import resource  # noqa: PLC0415

    os.nice(_NICENESS)
    with suppress(OSError):  # where memory is short, this process is the one to end
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    from PIL import Image, ImageOps  # noqa: PLC0415

    Image.MAX_IMAGE_PIXELS = None  # what is allowed is checked here
    image = Image.open(sys.stdin.buffer, formats=("PNG", "JPEG"))
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_RATIO * min(width, height):
        print("large" if width * height > MAX_PIXELS else "narrow")
        return
    image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # has JPEG decoded smaller at once
    picture = image.convert("RGBA" if image.has_transparency_data else "RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
    picture = ImageOps.exif_transpose(picture)
    sys.stdout.buffer.write(b"%d %d\n" % picture.size)
    sys.stdout.buffer.write(picture.tobytes())


if __name__ == "__main__":
    _main()
