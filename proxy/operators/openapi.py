"""The admin API's description in OpenAPI's form, and as a page of HTML that needs no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

import orjson

from proxy.operators.api import LIVE, OPERATIONS
from proxy.operators.backend_operations import BACKENDS
from proxy.operators.operation import Field, Operation

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_NOTHING = {"type": "object"}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}code{font-size:.95em}h2{margin:2rem 0 .2rem;font-size:1.05rem}"
    "table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"
)


def operations() -> list[Operation]:
    """All operations, those on what the event loop knows too, by path."""
    live = [
        Operation(method="GET", path=LIVE, run=lambda *_: None,
                  summary="Requests that run, with their progress; those that wait, by place; queues."),
        Operation(method="GET", path=BACKENDS, run=lambda *_: None,
                  summary="The engines: state, model, slots, those of this proxy, and what runs there."),
        Operation(method="GET", path="/admin/v1/users/{username}/limits", run=lambda *_: None,
                  summary="What is used of a user's limits and budgets, as GET /v1/usage tells."),
        Operation(method="DELETE", path=LIVE + "/{id}", run=lambda *_: None,
                  summary="End a request that runs or waits. Its client gets an error that says so."),
    ]  # fmt: skip
    return sorted([*OPERATIONS, *live], key=lambda operation: operation.path)


def document() -> bytes:
    """The OpenAPI document (https://spec.openapis.org/oas/v3.1.0)."""
    paths: dict[str, dict[str, object]] = {}
    for operation in operations():
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Llamaserve's admin API", "version": "1"},
            "security": [{"key": []}],
            "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
            "paths": paths,
        }
    )


def _described(operation: Operation) -> dict[str, object]:
    parameters: list[dict[str, object]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    described: dict[str, object] = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "responses": {
            str(operation.status): {
                "description": "Done.", "content": {"application/json": {"schema": _NOTHING}},
            },
            "default": {
                "description": "An error in OpenAI's envelope.",
                "content": {"application/json": {"schema": _NOTHING}},
            },
        },
    }  # fmt: skip
    if operation.method in ("GET", "DELETE"):
        parameters += [
            {"name": one.name, "in": "query", "schema": _schema(one), "description": one.help}
            for one in operation.fields
        ]
    elif operation.fields:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                one.name: {**_schema(one), "description": one.help} for one in operation.fields
            },
            "required": [one.name for one in operation.fields if one.required],
        }
        content = {"application/json": {"schema": schema}}
        described["requestBody"] = {"required": True, "content": content}
    return {**described, "parameters": parameters}


def _name(operation: Operation) -> str:
    path = operation.path.removeprefix("/admin/v1/")
    return re.sub(r"\W+", "_", f"{operation.method} {path}").strip("_").lower()


def _schema(one: Field) -> dict[str, object]:
    schema = dict(one.schema)
    return {"anyOf": [schema, {"type": "null"}]} if one.nullable else schema


def page() -> bytes:
    """The same for people."""
    return "".join(_lines()).encode()


def _lines() -> Iterable[str]:
    yield (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Admin API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>Llamaserve's admin API</h1>"
        "<p>Each call needs the key of an administrator: <code>Authorization: Bearer KEY</code>. "
        "Lists come in pages: <code>after</code> takes <code>next</code> of the page before. "
        "Errors have OpenAI's envelope. As OpenAPI: <code>/admin/openapi.json</code>.</p>"
    )
    for operation in operations():
        yield f"<h2><code>{operation.method} {escape(operation.path)}</code></h2>"
        yield f"<p>{escape(operation.summary)}</p><table>"
        for one in operation.fields:
            need = " (required)" if one.required else ""
            yield f"<tr><td><code>{escape(one.name)}</code>{need}<td>{escape(one.help)}"
        yield "</table>"
