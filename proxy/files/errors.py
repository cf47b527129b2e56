"""Every error of `/v1/files` beside those of `proxy/errors.py`."""

from __future__ import annotations

from proxy.errors import ApiError, retry_headers


def no_such_file(file_id: str) -> ApiError:
    return ApiError(
        404,
        f"No such File object: {file_id[:80]}. It may have been deleted; GET /v1/files lists yours.",
        code="not_found",
        param="id",
    )


def not_multipart() -> ApiError:
    return ApiError(
        400,
        "A file is uploaded as multipart/form-data with the fields 'purpose' and 'file'.",
        code="invalid_form",
    )


def bad_form() -> ApiError:
    return ApiError(
        400,
        "The upload broke off or is not valid multipart/form-data. Nothing is kept; send it again.",
        code="invalid_form",
    )


def missing_field(name: str) -> ApiError:
    return ApiError(
        400, f"The field {name!r} is missing.", code="missing_required_parameter", param=name
    )


def bad_field(name: str, text: str) -> ApiError:
    return ApiError(400, f"The field {name[:80]!r} {text}.", code="invalid_value", param=name[:80])


def file_too_large(limit_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"The file is larger than the {limit_bytes} bytes allowed here. Split it, or ask whoever runs "
        "this server to raise LLAMA_FILES_MAX_BYTES.",
        code="file_too_large",
        param="file",
    )


def no_room(limit_bytes: int, *, of_user: bool) -> ApiError:
    whose, key = "Your files", "LLAMA_FILES_BYTES_PER_USER"
    if not of_user:
        whose, key = "The files of all users", "LLAMA_FILES_BYTES"
    return ApiError(
        413,
        f"{whose} and results may have {limit_bytes} bytes, and this one does not fit. Delete some "
        f"(DELETE /v1/files/ID), or ask whoever runs this server to raise {key}.",
        code="storage_limit_exceeded",
        param="file",
    )


def too_many_files(most: int) -> ApiError:
    return ApiError(
        413,
        f"You have {most} files, as many as one user may. Delete some (DELETE /v1/files/ID).",
        code="storage_limit_exceeded",
        param="file",
    )


def disk_full() -> ApiError:
    return ApiError(
        503,
        "The server's disk has no room for the file. Tell whoever runs this server.",
        type_="service_unavailable_error",
        code="disk_full",
        headers={"x-should-retry": "false"},
    )


def too_many_uploads(*, of_user: bool) -> ApiError:
    whose = "of yours " if of_user else ""
    return ApiError(
        503,
        f"As many uploads {whose}as may are under way. Please try again in 5s.",
        type_="service_unavailable_error",
        code="server_is_overloaded",
        headers=retry_headers(5.0),
    )


def in_use(file_id: str, batch_id: str) -> ApiError:
    return ApiError(
        409,
        f"The file {file_id} is in use by {batch_id}. Cancel the batch first, or wait for its end.",
        code="file_in_use",
        param="id",
    )


def elsewhere(file_id: str) -> ApiError:
    return ApiError(
        404,
        f"The content of {file_id} is not on this server: it was uploaded to another one of those that "
        "share the database, and LLAMA_DATA_DIR/files is not shared.",
        code="not_found",
        param="id",
    )


def bad_query(name: str, text: str) -> ApiError:
    return ApiError(400, f"The parameter {name[:80]!r} {text}.", code="invalid_value", param=name[:80])


def database_unavailable() -> ApiError:
    return ApiError(
        503,
        "The database is out of reach, or has taken too long. Please try again in 5s.",
        type_="service_unavailable_error",
        code="database_unavailable",
        headers=retry_headers(5.0),
    )
