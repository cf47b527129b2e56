"""Every refusal of the engine: its status, type, code and text.

The envelope and the codes are OpenAI's: https://platform.openai.com/docs/guides/error-codes. A text
says what to do. It never contains a path, a trace, or more of the input than the name of a field; only
errors of a grammar may quote the part that cannot be parsed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

RETRY_AFTER_S = 5


@dataclass(kw_only=True, eq=False)  # not frozen: Python sets a raised exception's __traceback__
class Refusal(Exception):
    """A request that is answered with an error. `retry_after_s` becomes a Retry-After header."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_after_s: int | None = None
    allow: str | None = None
    """For a 405: the method that is allowed."""

    def __str__(self) -> str:
        return self.message

    def body(self) -> bytes:
        """The error in OpenAI's envelope, as JSON."""
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
        }
        return json.dumps({"error": error}, separators=(",", ":")).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The error's headers, except those that describe the body."""
        headers = []
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.allow is not None:
            headers.append((b"allow", self.allow.encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_body(
    status: int, message: str, code: str | None, *, request_id: str | None = None
) -> bytes:
    """An error in Anthropic's envelope, as JSON: https://docs.anthropic.com/en/api/errors."""
    if code == "context_length_exceeded":
        message = f"Prompt is too long: {message}"  # Anthropic's clients look for these words
    other = "invalid_request_error" if status < 500 else "api_error"
    error = {"type": _ANTHROPIC_TYPES.get(status, other), "message": message}
    return json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()


def invalid(param: str | None, message: str, *, code: str | None = "invalid_value") -> Refusal:
    return Refusal(status=400, message=message, param=param, code=code)


def invalid_json(reason: str) -> Refusal:
    return Refusal(
        status=400, message=f"The request body is not valid JSON: {reason}.", code="invalid_json"
    )


def not_http(reason: str) -> Refusal:
    return Refusal(
        status=400, message=f"This is not a valid HTTP request: {reason}.", code="invalid_http"
    )


def head_too_large(limit_bytes: int) -> Refusal:
    return Refusal(
        status=431,
        message=f"The request's headers are too large; at most {limit_bytes} bytes are allowed.",
        code="headers_too_large",
    )


def not_supported(param: str | None, message: str) -> Refusal:
    return Refusal(status=400, message=message, param=param, code="unsupported_value")


def context_length_exceeded(*, has: str, n_ctx: int, param: str) -> Refusal:
    """`has` is how long the prompt is, such as "9000 tokens"."""
    return Refusal(
        status=400,
        message=f"This model's maximum context length is {n_ctx} tokens. However, your prompt has "
        f"{has}, which leaves no room for the response. Please shorten it.",
        param=param,
        code="context_length_exceeded",
    )


def cannot_embed() -> Refusal:
    return not_supported(
        None,
        "This server makes no embeddings: its model is not made for them. LLAMA_SERVER_EMBEDDING_MODEL "
        "names a model that makes them beside it.",
    )


def cannot_rerank() -> Refusal:
    return not_supported(
        None,
        "This server cannot rerank: none of its models is a reranker. LLAMA_SERVER_RERANK_MODEL names "
        "one that serves beside the others.",
    )


def cannot_generate(alias: str) -> Refusal:
    return not_supported(
        None,
        f"This server's model, {alias}, makes embeddings or ranks documents and does not generate text. "
        "Its paths are /v1/embeddings and /v1/rerank.",
    )


def input_too_long(param: str, *, has: str, most: int) -> Refusal:
    """`has` is how long the input is, such as "900 tokens"."""
    return Refusal(
        status=400,
        message=f"{param}: has {has}, and {most} tokens are read at most. Please shorten it "
        "or cut it into parts.",
        param=param,
        code="context_length_exceeded",
    )


def too_many_tokens(param: str, most: int) -> Refusal:
    return invalid(
        param, f"{param}: at most {most} tokens are allowed in one request; send several requests."
    )


def embeddings_took_too_long(seconds: float) -> Refusal:
    return invalid(
        None,
        f"The inputs took longer than the {seconds:g} s allowed (LLAMA_SERVER_REQUEST_SECONDS): send "
        "fewer in one request.",
        code="request_timeout",
    )


def images_took_too_long(seconds: float) -> Refusal:
    return invalid(
        "messages",
        f"messages: their images took longer than the {seconds:g} s allowed "
        "(LLAMA_SERVER_REQUEST_SECONDS): send fewer in one request.",
        code="request_timeout",
    )


def body_too_large(limit_bytes: int) -> Refusal:
    return Refusal(
        status=413,
        message=f"The request body has more than the {limit_bytes} bytes allowed "
        "(LLAMA_SERVER_MAX_BODY_BYTES).",
        code="request_too_large",
    )


def no_key() -> Refusal:
    return Refusal(
        status=401,
        message="You didn't provide an API key. Send it in one header: Authorization: Bearer YOUR_KEY, "
        "or x-api-key: YOUR_KEY.",
    )


def wrong_key(sent: str) -> Refusal:
    shown = f"{sent[:8]}…{sent[-4:]}" if len(sent) > 16 else "…"
    return Refusal(
        status=401,
        message=f"Incorrect API key provided: {shown}. The model server takes its own key only, "
        "LLAMA_SERVER_API_KEY.",
        code="invalid_api_key",
    )


def origin_not_allowed() -> Refusal:
    return Refusal(
        status=403,
        message="Pages of this origin may not call this server. Whoever runs it can name the origin in "
        "LLAMA_SERVER_CORS_ORIGINS.",
        code="origin_not_allowed",
    )


def unknown_url(method: str, path: str) -> Refusal:
    shown = path if len(path) <= 100 else path[:100] + "…"
    return Refusal(status=404, message=f"Unknown request URL: {method} {shown}.", code="unknown_url")


def method_not_allowed(method: str, allowed: str) -> Refusal:
    return Refusal(
        status=405,
        message=f"This URL takes {allowed}, not {method}.",
        code="method_not_allowed",
        allow=allowed,
    )


def model_not_found(alias: str) -> Refusal:
    return Refusal(
        status=404,
        message=f"The model asked for does not exist. This server has one: {alias}. Name it, or leave "
        "`model` out.",
        param="model",
        code="model_not_found",
    )


def unknown_request() -> Refusal:
    return Refusal(
        status=404,
        message="No request with this id is known: it came long ago, or never.",
        code="unknown_request",
    )


def internal() -> Refusal:
    return Refusal(
        status=500,
        message="The model server had an error while processing your request. Its log tells more.",
        type="server_error",
    )


def starting() -> Refusal:
    return _unavailable("starting", "The model is being loaded. Please try again in a few seconds.")


def compiler_away() -> Refusal:
    return _unavailable(
        "server_is_overloaded",
        "Answers cannot be held to a schema or a grammar just now. Please try again in a few seconds; "
        "if that does not help, the server's log tells more.",
    )


def stopping() -> Refusal:
    return _unavailable(
        "stopping", "The model server is being stopped. Please try again in a few seconds."
    )


def _unavailable(code: str, message: str) -> Refusal:
    return Refusal(
        status=503,
        message=message,
        type="service_unavailable_error",
        code=code,
        retry_after_s=RETRY_AFTER_S,
    )
