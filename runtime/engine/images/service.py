"""The images of requests, from files to embeddings.

In two parts. `read` decodes an image and tells what stands for it in a prompt; it takes tenths of a
second, in a worker thread. `encode` has the projector make the embeddings, which takes seconds for each
image: in one thread of its own, so that no response that is being generated waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np

from runtime.engine import errors
from runtime.engine.generation.pictures import Embeddings, Picture
from runtime.engine.images import UnreadableError
from runtime.engine.images.decoding import DecodingError, decode
from runtime.engine.images.sent import Sent
from runtime.engine.watchdog.progress import Progress

if TYPE_CHECKING:
    from runtime.engine.images.projector import Chunk, Projector

CACHE_BYTES = 128 * 2**20
"""Of embeddings that are kept, so that a conversation's next request need not have them made again."""


@dataclass(eq=False)
class Unencoded(Picture):
    """A picture that has been read, and not been encoded so far."""

    param: str = ""
    """The part of the request that it came in."""
    chunk: Chunk | None = None
    key: bytes = b""
    """What it shows, as a hash."""


class Images:
    """Reads and encodes images with one projector.

    Args:
        projector: from now on only this object may use it.
        threads: has one thread, in which images are encoded.
        most_at_once: tokens that the model beside it can read in one piece.
        seconds: within which all images of a request must be encoded.
    """

    def __init__(
        self, projector: Projector, threads: ThreadPoolExecutor, *, most_at_once: int, seconds: float
    ) -> None:
        self._most_at_once = most_at_once
        self.progress = Progress()
        self._projector = projector
        self._threads = threads
        self._seconds = seconds
        # Nobody can look for two images that have the same ids.
        self._secret = secrets.token_bytes(32)
        self._kept: OrderedDict[bytes, Embeddings] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn_of(self, tag: str) -> asyncio.Lock:
        """To be held while a request's images are read and encoded.

        A user's requests do that one after the other, so that many of them do not hold up other users'.
        """
        return self._turns.setdefault(tag, asyncio.Lock())

    def read(self, sent: Sent) -> list[Picture | list[int]]:
        """What stands for an image in a prompt: pictures, and tokens. Thread-safe.

        Raises:
            Refusal: 400; it is no image that can be read.
        """
        try:
            bitmap = decode(sent.data)
            chunks = self._projector.read(bitmap)
        except DecodingError as error:
            raise errors.invalid(sent.param, f"{sent.param}: {error}.") from None
        except UnreadableError:
            raise _unreadable(sent.param) from None
        size = b"%d %d " % (bitmap.width, bitmap.height)
        shown = hashlib.blake2b(size + bitmap.pixels, digest_size=32, key=self._secret).digest()
        return [
            chunk if isinstance(chunk, list) else self._picture(chunk, shown + b"%d" % number, sent)
            for number, chunk in enumerate(chunks)
        ]

    def _picture(self, chunk: Chunk, key: bytes, sent: Sent) -> Unencoded:
        if self._projector.is_whole and chunk.n_tokens > self._most_at_once:
            raise errors.not_supported(
                sent.param,
                f"{sent.param}: the model reads it as {chunk.n_tokens} tokens at once, and "
                f"{self._most_at_once} are possible (LLAMA_SERVER_N_BATCH).",
            )
        drawn = np.frombuffer(hashlib.shake_256(key).digest(4 * chunk.n_tokens), dtype=np.int32)
        ids: list[int] = (drawn | np.int32(-(2**31))).tolist()
        return Unencoded(
            ids=ids, param=sent.param, chunk=chunk, key=key, is_whole=self._projector.is_whole
        )

    async def encode(self, pictures: Iterable[Picture], tag: str) -> None:
        """Have the embeddings of a request's pictures made, one after the other.

        What was made for a user is kept for the same user, `tag`. Between two pictures others get turns.

        Raises:
            Refusal: 400; it takes too long, or the projector fails.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._seconds):
                for picture in pictures:
                    if isinstance(picture, Unencoded) and picture.embeddings is None:
                        await loop.run_in_executor(self._threads, self._encode, picture, tag)
        except TimeoutError:
            raise errors.images_took_too_long(self._seconds) from None

    def _encode(self, picture: Unencoded, tag: str) -> None:
        key = hashlib.blake2b(tag.encode(), digest_size=32, key=picture.key[:64]).digest()
        embeddings = self._kept.pop(key, None)
        if embeddings is None:
            assert picture.chunk is not None
            self.progress.step()
            try:
                embeddings = self._projector.encode(picture.chunk)
            except UnreadableError:
                raise _unreadable(picture.param) from None
            finally:
                self.progress.rest()
        picture.embeddings, picture.chunk = embeddings, None
        self._kept[key] = embeddings
        while sum(kept.nbytes for kept in self._kept.values()) > CACHE_BYTES:
            self._kept.popitem(last=False)


def _unreadable(param: str) -> errors.Refusal:
    return errors.invalid(param, f"{param}: the projector makes nothing of this image.")
