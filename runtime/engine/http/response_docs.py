"""What responses contain, for the API's description: JSON schemas by path.

Members that clients rely on are required. Others may be added at any time, so none is forbidden.
"""

from __future__ import annotations

from typing import Any

from runtime.engine.http.embeddings import RERANK_PATHS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}


def _one_of(*values: str | None) -> Schema:
    return {"enum": list(values)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(optional: dict[str, Schema] | None = None, /, **required: Schema) -> Schema:
    members = {**required, **(optional or {})}
    return {"type": "object", "properties": members, "required": list(required)}


_USAGE = _object(
    {"completion_tokens_details": _object(reasoning_tokens=_COUNT)},
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    prompt_tokens_details=_object(cached_tokens=_COUNT),
)
_EVALUATED = _object(prompt_tokens=_COUNT, total_tokens=_COUNT)
_FINISH = _one_of("stop", "length", "tool_calls", "function_call")
_CALL = _object(id=_TEXT, type=_one_of("function"), function=_object(name=_TEXT, arguments=_TEXT))
_MESSAGE = _object(
    {"reasoning_content": _TEXT, "tool_calls": _list(_CALL)},
    role=_one_of("assistant"),
    content=_or_null(_TEXT),
)
_HEAD = {"id": _TEXT, "created": _COUNT, "model": _TEXT, "system_fingerprint": _TEXT}
_MODEL = _object(
    id=_TEXT, object=_one_of("model"), created=_COUNT, owned_by=_TEXT, type=_one_of("model")
)

RESPONSES: dict[str, Schema] = {
    "/v1/chat/completions": _object(
        **_HEAD,
        object=_one_of("chat.completion"),
        choices=_list(
            _object(
                index=_COUNT,
                message=_MESSAGE,
                finish_reason=_FINISH,
                logprobs=_or_null(_object()),
            )
        ),
        usage=_USAGE,
    ),
    "/v1/completions": _object(
        **_HEAD,
        object=_one_of("text_completion"),
        choices=_list(
            _object(index=_COUNT, text=_TEXT, finish_reason=_FINISH, logprobs=_or_null(_object()))
        ),
        usage=_USAGE,
    ),
    "/v1/responses": _object(
        id=_TEXT,
        object=_one_of("response"),
        created_at=_COUNT,
        model=_TEXT,
        status=_one_of("completed", "incomplete", "failed"),
        output=_list(_object(type=_TEXT, id=_TEXT)),
        usage=_object(input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT),
    ),
    "/v1/messages": _object(
        id=_TEXT,
        type=_one_of("message"),
        role=_one_of("assistant"),
        model=_TEXT,
        content=_list(_object(type=_one_of("text", "thinking", "tool_use"))),
        stop_reason=_one_of("end_turn", "max_tokens", "stop_sequence", "tool_use"),
        stop_sequence=_or_null(_TEXT),
        usage=_object(input_tokens=_COUNT, output_tokens=_COUNT),
    ),
    "/v1/messages/count_tokens": _object(input_tokens=_COUNT),
    "/v1/embeddings": _object(
        object=_one_of("list"),
        model=_TEXT,
        data=_list(
            _object(
                object=_one_of("embedding"),
                index=_COUNT,
                embedding={"anyOf": [_list(_NUMBER), _TEXT]},
            )
        ),
        usage=_EVALUATED,
    ),
    **dict.fromkeys(
        RERANK_PATHS,
        _object(
            id=_TEXT,
            model=_TEXT,
            results=_list(_object({"document": _object()}, index=_COUNT, relevance_score=_NUMBER)),
            usage=_EVALUATED,
        ),
    ),
    "/v1/models": _object(object=_one_of("list"), data=_list(_MODEL), has_more={"type": "boolean"}),
    "/v1/models/{model}": _MODEL,
    "/extras/tokenize": _object(tokens=_list(_COUNT)),
    "/extras/tokenize/count": _object(count=_COUNT),
    "/extras/detokenize": _object(text=_TEXT),
    "/health": _object(
        status=_one_of("ok", "loading", "stuck", "stopping"),
        slots=_COUNT,
        running=_COUNT,
        waiting=_COUNT,
    ),
}
"""Of status 200, by path."""

STREAMS: dict[str, str] = {
    "/v1/chat/completions": "Each event's data is a chat.completion.chunk, and [DONE] is the last.",
    "/v1/completions": "Each event's data is a text_completion, and [DONE] is the last.",
    "/v1/responses": "Events named response.…, as OpenAI has them.",
    "/v1/messages": "Events from message_start to message_stop, as Anthropic has them.",
}
"""The server-sent events that a path sends where its request asks for a stream."""

ERROR: Schema = _object(
    error=_object(message=_TEXT, type=_TEXT, param=_or_null(_TEXT), code=_or_null(_TEXT))
)
ANTHROPIC_ERROR: Schema = _object(
    type=_one_of("error"), error=_object(type=_TEXT, message=_TEXT), request_id=_or_null(_TEXT)
)
