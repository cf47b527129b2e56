"""Every error of the admin API beside those of `proxy/errors.py`."""

from __future__ import annotations

from proxy.errors import ApiError, retry_headers


def invalid_field(name: str, text: str) -> ApiError:
    return ApiError(400, f"The field {name!r} {text}.", code="invalid_value", param=name)


def missing_field(name: str) -> ApiError:
    return ApiError(
        400, f"The field {name!r} is missing.", code="missing_required_parameter", param=name
    )


def not_found(text: str) -> ApiError:
    return ApiError(404, f"{text}.", code="not_found")


def already_exists(text: str) -> ApiError:
    return ApiError(409, f"{text}.", code="already_exists")


def admin_overloaded() -> ApiError:
    return ApiError(
        503,
        "Too many calls of the admin API wait already. Please try again in 5s.",
        type_="service_unavailable_error",
        code="server_is_overloaded",
        headers=retry_headers(5.0),
    )


def database_unavailable() -> ApiError:
    return ApiError(
        503,
        "The database is out of reach, or has taken too long. Please try again in 5s, or ask for less.",
        type_="service_unavailable_error",
        code="database_unavailable",
        headers=retry_headers(5.0),
    )


def ended_by_administrator() -> ApiError:
    return ApiError(
        503,
        "An administrator of this server has ended this request.",
        type_="service_unavailable_error",
        code="ended_by_administrator",
        headers={"x-should-retry": "false"},
    )
