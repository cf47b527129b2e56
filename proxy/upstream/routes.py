"""Which paths are forwarded: those of the API, and nothing else that an engine may serve."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from proxy import errors

Work = Literal["generate", "embed", "cheap", "list models", "own"]
"""The kind of work that a request causes. Each kind has a queue of its own, except that embeddings share
that of what generates if one model has to do both, and that the proxy answers `own` by itself. (It is no
enumeration, since hashing a member would call a Python function.)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """How requests to a path are treated."""

    method: str
    work: Work
    generates: bool = field(init=False)
    """Whether the engine runs the model for it."""
    streams: bool = False
    """Whether `"stream": true` in its body asks for server-sent events."""
    usage_if_asked: bool = False
    """Whether an engine that is not ours tells a stream's usage only if `stream_options` asks for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "generates", self.work in ("generate", "embed"))


USAGE = "/v1/usage"
_MODELS = Route(method="GET", work="list models")
CHECK = _POST = Route(method="POST", work="cheap")
"""CHECK: asking the engine whether it would refuse a request."""
_EMBED = Route(method="POST", work="embed")
_CHUNKS = Route(method="POST", work="generate", streams=True, usage_if_asked=True)
_ROUTES = {
    "/v1/models": _MODELS,
    USAGE: Route(method="GET", work="own"),
    "/v1/completions": _CHUNKS,
    "/v1/chat/completions": _CHUNKS,
    "/v1/responses": Route(method="POST", work="generate", streams=True),
    "/v1/messages": Route(method="POST", work="generate", streams=True),
    "/v1/messages/count_tokens": _POST,
    "/v1/embeddings": _EMBED,
    "/v1/rerank": _EMBED,
    "/v2/rerank": _EMBED,
    "/rerank": _EMBED,
    "/v1/reranking": _EMBED,
    "/extras/tokenize": _POST,
    "/extras/tokenize/count": _POST,
    "/extras/detokenize": _POST,
}
_OWN = ("/v1/files", "/v1/batches")
"""What further paths begin with that the proxy answers by itself."""
OTHER_PATH = "other"
_MODEL_PATH = re.compile(r"/v1/models/[A-Za-z0-9][A-Za-z0-9._~:@+/-]*")


def route_of(method: str, path: str) -> Route:
    """The route of a request.

    Raises:
        ApiError: 404 or 405 where it is no path of the API. Paths are compared as they came: an
            encoded or doubled slash or a dot segment matches nothing.
    """
    route = _ROUTES.get(path)
    if route is None and _MODEL_PATH.fullmatch(path) and "/." not in path and "//" not in path:
        route = _MODELS
    if route is None:
        raise errors.unknown_url(method, path, meant=_meant(path))
    if method != route.method:
        raise errors.method_not_allowed(method, path, route.method)
    return route


def _meant(path: str) -> str | None:
    """The path of the API that this one ends like: clients are often given a wrong base URL."""
    like = [
        known
        for known in _ROUTES
        if known.startswith("/v1/") and path.endswith(known.removeprefix("/v1"))
    ]
    return max(like, key=len, default=None)


@lru_cache(maxsize=256)
def path_label(path: str) -> str:
    """A path as a label of metrics: there are only as many as routes, whatever clients send."""
    if path in _ROUTES:
        return path
    for own in _OWN:
        if path == own or path.startswith(own + "/"):
            return own
    return "/v1/models" if _MODEL_PATH.fullmatch(path) else OTHER_PATH
