"""The API's description: the stock app's own, with the requests that this engine really takes."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from fastapi.openapi.docs import get_swagger_ui_html
from pydantic import BaseModel

from runtime.engine.api.dialects.message_fields import CountRequest, MessagesRequest
from runtime.engine.api.dialects.response_fields import ResponsesRequest
from runtime.engine.api.schemas import ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest
from runtime.engine.embedding.requests import EmbeddingRequest, RerankRequest
from runtime.engine.http.embeddings import RERANK_PATHS
from runtime.engine.http.envelope import is_anthropic
from runtime.engine.http.response_docs import ANTHROPIC_ERROR, ERROR, RESPONSES, STREAMS
from runtime.engine.stock import StockApp

_REQUESTS: dict[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/messages": MessagesRequest,
    "/v1/messages/count_tokens": CountRequest,
    "/v1/embeddings": EmbeddingRequest,
    **dict.fromkeys(RERANK_PATHS, RerankRequest),
    "/extras/tokenize": TokenizeRequest,
    "/extras/tokenize/count": TokenizeRequest,
    "/extras/detokenize": DetokenizeRequest,
}
_SUMMARIES = {
    "/v1/responses": "OpenAI's Responses API, stateless",
    "/v1/messages": "Anthropic's Messages API; errors have its envelope",
    "/v1/embeddings": "Vectors of texts, if the server has a model for them",
    **dict.fromkeys(RERANK_PATHS, "Documents by how well they answer a query, likewise"),
    "/v1/messages/count_tokens": "How many tokens the prompt of a request to /v1/messages has",
}
_SCHEMAS = "#/components/schemas/"
_ERRORS = {"Error": ERROR, "AnthropicError": ANTHROPIC_ERROR}


def openapi(stock: StockApp) -> dict[str, Any]:
    """The description in OpenAPI's form: https://spec.openapis.org/oas/v3.1.0."""
    document = copy.deepcopy(stock.openapi())
    document["info"]["title"] = "Llamaserve's model server"
    schemas = document["components"]["schemas"]
    schemas.update(_ERRORS)
    paths = document["paths"]
    del paths["/v1/embeddings"]
    for path, request in _REQUESTS.items():
        schema = request.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[request.__name__] = schema
        content = {"application/json": {"schema": {"$ref": _SCHEMAS + request.__name__}}}
        if path not in paths:
            paths[path] = {"post": {"summary": _SUMMARIES[path]}}
        paths[path]["post"]["requestBody"] = {"required": True, "content": content}
    paths["/v1/models/{model}"] = {"get": {"summary": "The model, if it is the one there is"}}
    paths["/v1/models/{model}"]["get"]["parameters"] = [
        {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    paths["/metrics"] = {"get": {"summary": "Counters in Prometheus's text form"}}
    paths["/health"] = {"get": {"summary": "200 when ready, 503 while loading or stuck; needs no key"}}
    paths["/health"]["get"]["security"] = []
    for path, operations in paths.items():
        for operation in operations.values():
            operation["responses"] = _responses(path)
    return document


def _responses(path: str) -> dict[str, Any]:
    """What a path answers, errors included. Any status of an error may come."""
    kind = "application/json" if path in RESPONSES else "text/plain"
    answer = _response("The response", RESPONSES.get(path, {"type": "string"}), kind=kind)
    if path in STREAMS:
        answer["content"]["text/event-stream"] = {"schema": {"description": STREAMS[path]}}
    name = "AnthropicError" if is_anthropic(path) else "Error"
    return {"200": answer, "default": _response("An error", {"$ref": _SCHEMAS + name})}


def _response(text: str, schema: dict[str, Any], *, kind: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}


def swagger(document: dict[str, Any]) -> bytes:
    """A page that shows the description. It holds it, since a browser could not fetch it without the
    key.
    """
    encoded = base64.b64encode(json.dumps(document).encode()).decode()
    page = get_swagger_ui_html(
        openapi_url=f"data:application/json;base64,{encoded}", title=document["info"]["title"]
    )
    return bytes(page.body)
