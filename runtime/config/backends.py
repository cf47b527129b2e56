"""The form of LLAMA_SERVER_BACKENDS: the engines behind the proxy, and how many requests each gets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_BACKENDS = 256
MAX_SLOTS = 100_000
_ENTRY = re.compile(r"(?P<url>[^*;]+)(\*(?P<slots>[^*;]*))?(;key=(?P<key>[^;]+))?")
_NUMBER = re.compile("[0-9]{1,6}")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class BackendEntry:
    """One engine of the list."""

    url: str
    slots: int | None
    """How many requests that generate it gets at a time; None: as many as it reports."""
    key_file: str
    """The file with its key; "": LLAMA_SERVER_API_KEY is its key."""


def http_url(value: str) -> str:
    """An engine's URL, without a slash at its end.

    Raises:
        ValueError: it is none; the text says what is allowed.
    """
    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.username or parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError("must be an http:// or https:// URL without user, query, fragment or blank")
    if parts.path.rstrip("/").endswith("/v1"):
        raise ValueError("must be the engine's URL without /v1, which is a part of each request's path")
    return value.rstrip("/")


def parse_backends(value: str) -> tuple[BackendEntry, ...]:
    """The engines of a list such as `http://a:8000,http://b:8000*4;key=keys/b`.

    Raises:
        ValueError: an entry cannot be read, is there twice, or there are more than MAX_BACKENDS.
    """
    entries = tuple(_entry(text.strip()) for text in value.split(","))
    if len(entries) > MAX_BACKENDS:
        raise ValueError(f"must be at most {MAX_BACKENDS} engines")
    known = set()
    for entry in entries:
        if (place := _place(entry.url)) in known:
            raise ValueError(
                f"{entry.url} is there twice: each engine is named once, *N gives it N slots"
            )
        known.add(place)
    return entries


def _place(url: str) -> tuple[object, ...]:
    """What is the same of two spellings of a URL."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], parts.path


def _entry(text: str) -> BackendEntry:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} must be URL, URL*SLOTS, or either with ;key=FILE, separated from others by commas"
        )
    try:
        url = http_url(match["url"])
    except ValueError as error:
        raise ValueError(f"{match['url']!r} {error}") from None
    slots = match["slots"]
    if slots is not None and not (_NUMBER.fullmatch(slots) and 1 <= int(slots) <= MAX_SLOTS):
        raise ValueError(f"{text!r}: the slots must be a whole number from 1 to {MAX_SLOTS}")
    return BackendEntry(url=url, slots=int(slots) if slots else None, key_file=match["key"] or "")
