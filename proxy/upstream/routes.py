"""What is forwarded: the paths of the API and their method, nothing else that an engine may serve."""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy import errors


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """What is known of a path."""

    method: str
    generates: bool = False
    """Whether it keeps the model busy; what does not waits for no generation."""
    streams: bool = False
    """Whether `"stream": true` in its body asks for server-sent events."""


_GET = Route(method="GET")
_POST = Route(method="POST")
_ROUTES = {
    "/v1/models": _GET,
    "/v1/completions": Route(method="POST", generates=True, streams=True),
    "/v1/chat/completions": Route(method="POST", generates=True, streams=True),
    "/v1/embeddings": Route(method="POST", generates=True),
    "/v1/responses": Route(method="POST", generates=True, streams=True),
    "/v1/rerank": Route(method="POST", generates=True),
    "/extras/tokenize": _POST,
    "/extras/tokenize/count": _POST,
    "/extras/detokenize": _POST,
}
_MODEL_PATH = re.compile(r"/v1/models/[A-Za-z0-9][A-Za-z0-9._~:@+/-]*")


def route_of(method: str, path: str) -> Route:
    """What a request is for.

    Raises:
        ApiError: 404 or 405 for what is no path of the API. Paths are compared as they came: an
            encoded or doubled slash or a dot segment matches nothing.
    """
    route = _ROUTES.get(path)
    if route is None and _MODEL_PATH.fullmatch(path) and "/." not in path and "//" not in path:
        route = _GET
    if route is None:
        raise errors.unknown_url(method, path)
    if method != route.method:
        raise errors.method_not_allowed(method, path, route.method)
    return route
