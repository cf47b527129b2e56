"""The requests for embeddings and reranking, field by field, and the ranges of their values.

Sources: https://platform.openai.com/docs/api-reference/embeddings/create, https://jina.ai/reranker/ and
https://docs.cohere.com/reference/rerank. A null counts as absent, fields not named here are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from runtime.engine import errors
from runtime.engine.api.fields import Body, Whole

MAX_INPUTS = 2048
"""The most inputs, or documents, of a request; OpenAI's number."""

Text = str
Tokens = list[int]
_Input = Text | Tokens | list[Text | Tokens]


def _inputs(given: Any) -> list[Text | Tokens]:
    """The inputs of a request for embeddings, as a list of texts and lists of tokens.

    Raises:
        Refusal: it is no such list; says which input is wrong.
    """
    if isinstance(given, str) or (isinstance(given, list) and given and _is_token(given[0])):
        return [_input(given, "input")]
    if not isinstance(given, list):
        raise errors.invalid("input", "input: must be a text, a list of tokens, or a list of such.")
    if not given:
        raise errors.invalid("input", "input: must have at least one text.")
    if len(given) > MAX_INPUTS:
        raise errors.invalid("input", f"input: at most {MAX_INPUTS} are allowed in one request.")
    return [_input(one, f"input[{number}]") for number, one in enumerate(given)]


def _input(given: Any, param: str) -> Text | Tokens:
    if isinstance(given, str) or (isinstance(given, list) and all(map(_is_token, given))):
        if not given:
            raise errors.invalid(param, f"{param}: must not be empty.")
        return given
    raise errors.invalid(param, f"{param}: must be a text or a list of tokens.")


def _is_token(value: Any) -> bool:
    return type(value) is int


class EmbeddingRequest(Body):
    """POST /v1/embeddings."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: Annotated[list[Text | Tokens], PlainValidator(_inputs, json_schema_input_type=_Input)] = (
        Field(description="A text, its tokens, or a list of such.")
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: of the numbers as little-endian 32-bit floats."
    )
    dimensions: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="The vectors are cut to so many numbers and normalised again."
    )


def _documents(given: Any) -> list[Text]:
    """The documents of a request for reranking, as texts.

    Raises:
        Refusal: it is no list of texts; says which document is wrong.
    """
    if not isinstance(given, list) or not given:
        raise errors.invalid("documents", "documents: must be a list of at least one text.")
    if len(given) > MAX_INPUTS:
        raise errors.invalid("documents", f"documents: at most {MAX_INPUTS} are allowed in one request.")
    return [_document(one, number) for number, one in enumerate(given)]


def _document(given: Any, number: int) -> Text:
    text = given.get("text") if isinstance(given, dict) else given
    if not isinstance(text, str):
        param = f"documents[{number}]"
        raise errors.invalid(param, f'{param}: must be a text, or an object {{"text": …}}.')
    return text


class RerankRequest(Body):
    """POST /v1/rerank, in the forms of Jina and of Cohere."""

    model: Annotated[str, Field(max_length=512)] | None = None
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[
        list[Text],
        PlainValidator(_documents, json_schema_input_type=list[Text | dict[Literal["text"], Text]]),
    ] = Field(description='Texts, or objects {"text": …}.')
    top_n: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="How many of the best are returned; absent: all."
    )
    return_documents: bool = False
    raw_scores: bool = Field(False, description="The model's own numbers instead of scores from 0 to 1.")
