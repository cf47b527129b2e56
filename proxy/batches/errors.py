"""Every error of `/v1/batches` beside those of `proxy/errors.py` and `proxy/files/errors.py`."""

from __future__ import annotations

from proxy.errors import ApiError


def no_such_batch(batch_id: str) -> ApiError:
    return ApiError(
        404,
        f"No batch found with id {batch_id[:80]!r}. GET /v1/batches lists yours.",
        code="not_found",
        param="id",
    )


def not_an_object() -> ApiError:
    return ApiError(400, "The body must be a JSON object.", code="invalid_json")


def too_many_batches(most: int) -> ApiError:
    return ApiError(
        429,
        f"You have {most} batches that have not ended, as many as one user may. Wait, or cancel one.",
        type_="requests",
        code="too_many_batches",
        headers={"x-should-retry": "false"},
    )


def too_many_kept(most: int) -> ApiError:
    return ApiError(
        429,
        f"You have {most} batches, as many as are kept of one user. Old ones are deleted days after "
        "they have ended (LLAMA_FILES_RETENTION_DAYS).",
        type_="requests",
        code="too_many_batches",
        headers={"x-should-retry": "false"},
    )


def cannot_cancel(batch_id: str, status: str) -> ApiError:
    return ApiError(
        409,
        f"{batch_id} cannot be cancelled: it is {status} already.",
        code="invalid_status",
        param="id",
    )


def response_too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        502,
        f"The response is larger than the {limit_bytes} bytes that a line of a batch may have.",
        type_="server_error",
        code="response_too_large",
    )


def line_unreadable() -> ApiError:
    return ApiError(
        500,
        "The line cannot be read from the input file any more.",
        type_="server_error",
        code="input_file_unavailable",
    )


EXPIRED = ("batch_expired", "This line was not run before the batch's completion window ended.")
CANCELLED = ("batch_cancelled", "This line was not run before the batch was cancelled.")
FAILED = ("batch_failed", "This line was not run before the batch failed: see its errors.")
"""Code and text in the result of a line that has not been run."""
WAITS_FOR_BUDGET = "The budget of tokens is used up: the batch goes on when it is renewed."
WAITS_FOR_ROOM = "The server has no room for more files and results of its users (LLAMA_FILES_BYTES)."
WAITS_FOR_USER = "The user is deactivated: the batch goes on when the user is activated again."

Problem = dict[str, object]
"""Why a batch failed, in OpenAI's form: code, message, line, param."""


def problem(code: str, message: str, line: int | None = None, param: str | None = None) -> Problem:
    """One reason why a batch fails. `line` counts from 1."""
    return {"code": code, "message": message, "line": line, "param": param}


def no_lines() -> Problem:
    return problem("empty_file", "The input file has no lines.")


def too_many_lines(most: int) -> Problem:
    return problem(
        "too_many_lines",
        f"The input file has more than the {most} lines that a batch may have. Split it, or ask whoever "
        "runs this server to raise LLAMA_BATCH_MAX_LINES.",
        most + 1,
    )


def line_too_long(line: int, limit_bytes: int) -> Problem:
    return problem(
        "line_too_long",
        f"The line is longer than the {limit_bytes} bytes that a request may have "
        "(LLAMA_PROXY_MAX_BODY_BYTES).",
        line,
    )


def not_json(line: int) -> Problem:
    text = "The line is not a JSON object. The file is JSONL: each line is one object."
    return problem("invalid_json_line", text, line)


def bad_line(line: int, param: str, text: str) -> Problem:
    return problem("invalid_value", f"The field {param!r} {text}.", line, param)


def duplicate(line: int, custom_id: str, first: int) -> Problem:
    text = f"The custom_id {custom_id[:80]!r} is that of line {first} already. Each line needs its own."
    return problem("duplicate_custom_id", text, line, "custom_id")


def limit_reached(limit: int, used: int, lines: int) -> Problem:
    return problem(
        "batch_limit_exceeded",
        f"You may submit {limit} lines in 24 hours and have submitted {used}: {lines} more do not fit. "
        "Wait, or ask whoever runs this server for a higher limit.",
    )


def no_storage() -> Problem:
    return problem(
        "storage_limit_exceeded",
        "Your files and results have more bytes than they may (LLAMA_FILES_BYTES_PER_USER).",
    )


def file_gone() -> Problem:
    text = "The input file is not there any more."
    return problem("input_file_unavailable", text, param="input_file_id")
