"""Every error that a client can get.

This is the one place that knows statuses, types and codes
(https://platform.openai.com/docs/guides/error-codes). The rooms raise `ApiError`, made by one of the
functions here; the handler sends it, in the form that `error_envelopes.py` gives it.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.error_envelopes import ApiError, duration, retry_headers

__all__ = ["ApiError", "duration", "retry_headers"]


_CHALLENGE = {"WWW-Authenticate": "Bearer"}  # RFC 9110, section 11.6.1


def _unavailable(why: str, code: str, retry_after_s: float) -> ApiError:
    return ApiError(
        503,
        f"{why} Please try again in {duration(retry_after_s)}.",
        type_="service_unavailable_error",
        code=code,
        headers=retry_headers(retry_after_s),
    )


def _overloaded(why: str, retry_after_s: float) -> ApiError:
    return _unavailable(f"The server is overloaded: {why}", "server_is_overloaded", retry_after_s)


def missing_key(found: str | None = None) -> ApiError:
    """`found`: what was sent instead, as a clause without its end."""
    because = "You didn't provide an API key." if found is None else f"{found}: no API key was found."
    return ApiError(
        401,
        f"{because} Send it in one header: Authorization: Bearer YOUR_KEY, or x-api-key: YOUR_KEY.",
        headers=_CHALLENGE,
    )


def invalid_key(masked: str) -> ApiError:
    return ApiError(
        401,
        f"Incorrect API key provided: {masked}. Check it for typing mistakes, or ask whoever runs "
        "this server for a new one.",
        code="invalid_api_key",
        headers=_CHALLENGE,
    )


def too_many_auth_failures(retry_after_s: float) -> ApiError:
    return ApiError(
        429,
        "Too many wrong API keys have come from your address. Check yours, and try again in "
        f"{duration(retry_after_s)}.",
        type_="requests",
        code="too_many_auth_failures",
        # A key does not become right by being sent again.
        headers=retry_headers(retry_after_s) | {"x-should-retry": "false"},
    )


def key_expired() -> ApiError:
    return ApiError(
        403,
        "This API key has expired. Ask whoever runs this server for a new one.",
        code="key_expired",
    )


def user_inactive() -> ApiError:
    return ApiError(
        403,
        "This user has been deactivated. Ask whoever runs this server to activate it again.",
        code="user_inactive",
    )


def admin_required() -> ApiError:
    return ApiError(
        403,
        "This needs the key of an administrator. Whoever runs this server can make a user one: "
        "user_management_cli.sh set-admin.",
        code="admin_required",
    )


def auth_unavailable() -> ApiError:
    return _unavailable(
        "Your key cannot be checked right now because the user database is out of reach.",
        "auth_unavailable",
        5.0,
    )


def windows_unavailable() -> ApiError:
    return _unavailable(
        "Your rate limit cannot be checked right now because the database is out of reach.",
        "auth_unavailable",
        5.0,
    )


def origin_not_allowed() -> ApiError:
    return ApiError(
        403,
        "Pages of this origin may not call this server. Whoever runs it can name the origin in "
        "LLAMA_SERVER_CORS_ORIGINS.",
        code="origin_not_allowed",
    )


def unknown_url(method: str, path: str, *, meant: str | None = None) -> ApiError:
    """`meant`: the path of the API that this one ends like."""
    hint = "Check it for typing mistakes; the API's paths begin with /v1/."
    if meant is not None:
        hint = (
            f"Did you mean {meant}? The base URL of OpenAI's clients ends with /v1, that of Anthropic's "
            "has no path."
        )
    return ApiError(404, f"Unknown request URL: {method} {path[:200]}. {hint}", code="unknown_url")


def method_not_allowed(method: str, path: str, allowed: str) -> ApiError:
    return ApiError(
        405,
        f"Not allowed to {method} on {path}: use {allowed}.",
        code="method_not_allowed",
        headers={"Allow": allowed},
    )


def body_too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"The request body is larger than the {limit_bytes} bytes allowed here. Shorten it, or ask "
        "whoever runs this server to raise LLAMA_PROXY_MAX_BODY_BYTES and LLAMA_SERVER_MAX_BODY_BYTES.",
        code="request_too_large",
    )


def body_timeout(idle_s: float) -> ApiError:
    return ApiError(
        408,
        f"Nothing of the request body has come for {idle_s:g}s. Please send the request again.",
        code="request_timeout",
    )


def unsupported_encoding(encoding: str) -> ApiError:
    return ApiError(
        415,
        f"Content-Encoding {encoding[:40]!r} is not supported: send the body uncompressed.",
        code="unsupported_content_encoding",
    )


def body_too_slow(rate: int) -> ApiError:
    return ApiError(
        408,
        f"The request body came slower than {rate} bytes a second. Please send the request again, or "
        "a shorter one.",
        code="request_timeout",
    )


def body_on_get(method: str) -> ApiError:
    return ApiError(400, f"A {method} request takes no body here. Send it without one.")


def not_http() -> ApiError:
    return ApiError(400, "The request is not valid HTTP. Send it again in the form of RFC 9112.")


def target_too_long(limit_bytes: int) -> ApiError:
    return ApiError(
        414, f"The request's URL is longer than {limit_bytes} bytes. Send what is long in the body."
    )


def head_too_large(what: str) -> ApiError:
    return ApiError(431, f"The request has {what}. Send fewer or shorter ones.")


def head_timeout(limit_s: float) -> ApiError:
    return ApiError(
        408,
        f"The request's headers did not come within {limit_s:g}s. Please send the request again.",
        code="request_timeout",
    )


def http_version() -> ApiError:
    return ApiError(505, "This server speaks HTTP/1.1 and HTTP/1.0 only.")


def transfer_coding() -> ApiError:
    return ApiError(501, "The only Transfer-Encoding that is understood here is chunked.")


def unknown_method() -> ApiError:
    return ApiError(501, "This request method is not known here. The API takes GET and POST.")


def too_many_connections(retry_after_s: float) -> ApiError:
    return _overloaded(
        "it has as many open connections as it takes, in all or of your address.", retry_after_s
    )


def body_memory_full(retry_after_s: float) -> ApiError:
    return _overloaded("the requests under way fill the memory for request bodies.", retry_after_s)


def upload_gave_way(retry_after_s: float) -> ApiError:
    return _overloaded(
        "the memory for request bodies is full, and your slowest upload, this one, has made room "
        "for others.",
        retry_after_s,
    )


def request_gave_way(retry_after_s: float) -> ApiError:
    return _overloaded(
        "the memory for request bodies is full, and your largest request that waited, this one, has "
        "made room for others.",
        retry_after_s,
    )


def proxy_stopping() -> ApiError:
    return _unavailable(
        "The server is being restarted, and this request took longer than it waits for.", "stopping", 2.0
    )


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def rate_limited(
    *, kind: str, limit: int, window_s: float, retry_after_s: float, of_group: bool = False
) -> ApiError:
    whose = " for your group" if of_group else ""
    return ApiError(
        429,
        f"Rate limit reached: {limit} {kind} per {window_s:g}s{whose}, all used. Please try again in "
        f"{duration(retry_after_s)}.",
        type_=kind,
        code="rate_limit_exceeded",
        headers=retry_headers(retry_after_s),
    )


def insufficient_quota(*, budget: int, period: str, of_group: bool, reset_s: float) -> ApiError:
    whose = "your group's" if of_group else "your"
    return ApiError(
        429,
        f"You exceeded {whose} budget of {budget} tokens a {period}. It is renewed in "
        f"{duration(reset_s)}; ask whoever runs this server for a larger one.",
        type_="insufficient_quota",
        code="insufficient_quota",
        headers=retry_headers(reset_s) | {"x-should-retry": "false"},
    )


def overloaded(*, waiting: int, of_user: bool, retry_after_s: float) -> ApiError:
    whose = "of yours " if of_user else ""
    return _overloaded(f"{waiting} requests {whose}wait already, as many as may.", retry_after_s)


def waited_too_long(*, waited_s: float, retry_after_s: float) -> ApiError:
    return _overloaded(f"no turn came within {waited_s:g}s.", retry_after_s)


def engine_starting() -> ApiError:
    return _unavailable("The model server is starting or restarting.", "starting", 2.0)


def upstream_broke() -> ApiError:
    return ApiError(
        502,
        "The model server broke off its response. Please try again.",
        type_="server_error",
        code="upstream_error",
    )


def upstream_refused(status: int, error: Mapping[str, object]) -> ApiError:
    """The engine's error, with its message."""
    code, param = error.get("code"), error.get("param")
    return ApiError(
        status,
        str(error["message"]),
        type_=str(error.get("type") or "invalid_request_error"),
        code=None if code is None else str(code),
        param=None if param is None else str(param),
    )


def upstream_timeout(idle_s: float) -> ApiError:
    return ApiError(
        504,
        f"The model server sent nothing for {idle_s:g}s. Try a shorter request.",
        type_="server_error",
        code="upstream_timeout",
    )


def internal() -> ApiError:
    return ApiError(
        500,
        "The proxy failed to handle this request. Its log has the cause under the request id in "
        "this response's x-request-id header.",
        type_="server_error",
    )
