"""The images of a request: found in its messages, and replaced by marks that nobody can write.

Only data URLs are taken. The server fetches nothing and reads no files.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.engine import errors

MAX_IMAGES = 8
"""In one request."""
MAX_BYTES = 8 * 2**20
"""Of one image, as a file."""

_DATA_URL = re.compile(r"data:image/(?:png|jpeg|jpg);base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Sent:
    """One image as it was sent."""

    param: str
    """The part of the request that it came in."""
    mark: str
    """The text that stands for it in the messages."""
    data: bytes
    """The file."""


class SentImages:
    """Takes the images out of a chat's messages.

    Args:
        messages: as OpenAI's API has them. They are not changed.

    Raises:
        Refusal: 400; an image cannot be read, or is not where images may be.
    """

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        # Of letters and digits, so that no template, and no special token, changes it.
        self._secret = secrets.token_hex(16)
        self.sent: list[Sent] = []
        self.messages = [
            self._without_images(message, f"messages[{number}]")
            for number, message in enumerate(messages)
        ]
        """The messages with a text part in place of each image."""

    def split(self, text: str) -> list[str]:
        """The texts between the images of a rendered chat: one more than there are images.

        Raises:
            Refusal: 400; the model's template has left one out, or changed their order.
        """
        found = re.split(f"({self._secret}n[0-9]+e)", text)
        if found[1::2] != [one.mark for one in self.sent]:
            raise errors.not_supported(
                "messages", "messages: this model's chat template leaves out an image, or repeats it."
            )
        return found[::2]

    def _without_images(self, message: dict[str, Any], param: str) -> dict[str, Any]:
        content = message.get("content")
        if not isinstance(content, list):
            return message
        parts = [
            self._taken(part, f"{param}.content[{number}]", message["role"])
            if isinstance(part, dict) and part.get("type") == "image_url"
            else part
            for number, part in enumerate(content)
        ]
        return {**message, "content": parts}

    def _taken(self, part: Mapping[str, Any], param: str, role: str) -> dict[str, Any]:
        if role != "user":
            raise errors.not_supported(param, f"{param}: images may be in messages of the user only.")
        if len(self.sent) == MAX_IMAGES:
            raise errors.invalid(param, f"{param}: at most {MAX_IMAGES} images are allowed.")
        mark = f"{self._secret}n{len(self.sent)}e"
        self.sent.append(Sent(param, mark, _file(part, param)))
        return {"type": "text", "text": mark}


def _file(part: Mapping[str, Any], param: str) -> bytes:
    value = part.get("image_url")
    url = value.get("url") if isinstance(value, Mapping) else value
    if not isinstance(url, str):
        raise errors.invalid(param, f'{param} must have {{"image_url": {{"url": …}}}}.')
    scheme = _DATA_URL.match(url)
    if scheme is None:
        raise errors.not_supported(
            param,
            f"{param}: only PNG and JPEG in a data URL (data:image/png;base64,…) can be read. This "
            "server fetches nothing.",
        )
    encoded = url[scheme.end() :]
    if len(encoded) * 3 // 4 > MAX_BYTES:
        raise errors.invalid(param, f"{param}: an image may have {MAX_BYTES} bytes at most.")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise errors.invalid(param, f"{param}: its data is not base64.") from None
