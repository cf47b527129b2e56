"""The requests that the engine takes, field by field, and the ranges of their values.

Sources: https://platform.openai.com/docs/api-reference/chat/create and …/completions/create; beside
them the fields of llama_cpp.server's own (top_k, min_p, mirostat_*, grammar …). A null counts as
absent. Fields not named here are accepted and ignored, as OpenAI's clients send many that a local
model has no use for (store, metadata, user, service_tier, parallel_tool_calls …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from runtime.engine import errors

INT64 = 2**63
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
MAX_LOGIT_BIASES = 1024
MAX_MESSAGES = 4096
MAX_TOP_LOGPROBS = 20
MAX_TOOLS = 128
MAX_CHOICES = 16
"""Responses to one prompt."""
MAX_PROMPTS = 128
"""The most prompts of a request, and the most responses to all of them."""
MAX_DETOKENIZED = 65_536
MAX_TOKENIZED_CHARACTERS = 2**22
MAX_VALUES = 500_000
"""The most values in one body, approximately. Parsing holds the interpreter's lock: some 500,000 values
take a quarter of a second."""


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole), Field(ge=-INT64, lt=INT64)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Tokens = Annotated[list[Whole], Field(fail_fast=True)]
Stop = Annotated[str, Field(max_length=MAX_STOP_CHARACTERS)]
BiasedToken = Annotated[str, Field(max_length=64)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if isinstance(body, dict):
            return {name: value for name, value in body.items() if value is not None}
        return body


def _bounded(most: int) -> BeforeValidator:
    """Refuse a longer list or object before any of its members is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, list | dict) and len(value) > most:
            raise ValueError(f"at most {most} are allowed")
        return value

    return BeforeValidator(check)


class StreamOptions(_Body):
    """How a stream ends."""

    include_usage: bool = False


class GenerationRequest(_Body):
    """What requests for a completion and for a chat have in common."""

    model: Annotated[str, Field(max_length=512)] | None = None
    max_tokens: Whole | None = Field(
        None, description="Of the response; absent, 0 and below: the server's default."
    )
    min_tokens: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 0
    temperature: Annotated[Number, Field(ge=0, le=10)] = 0.8
    top_p: Annotated[Number, Field(ge=0, le=1)] = 0.95
    min_p: Annotated[Number, Field(ge=0, le=1)] = 0.05
    top_k: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 40
    repeat_penalty: Annotated[Number, Field(ge=0.1, le=10)] = 1.1
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] = 0.0
    mirostat_mode: Annotated[Whole, Field(ge=0, le=2)] = 0
    mirostat_tau: Annotated[Number, Field(ge=0, le=10)] = 5.0
    mirostat_eta: Annotated[Number, Field(ge=0.001, le=1)] = 0.1
    seed: Whole | None = None
    stop: Annotated[list[Stop], _bounded(MAX_STOPS)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    logit_bias: Annotated[dict[BiasedToken, Bias], _bounded(MAX_LOGIT_BIASES)] = Field(
        default_factory=dict
    )
    logit_bias_type: Literal["input_ids", "tokens"] = "input_ids"
    n: Annotated[Whole, Field(ge=1, le=MAX_CHOICES, description="Responses to each prompt.")] = 1
    grammar: str | None = Field(None, description="GBNF, or llguidance's Lark.")

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class CompletionRequest(GenerationRequest):
    """POST /v1/completions."""

    prompt: str | Tokens | Annotated[list[str | Tokens], Field(min_length=1, max_length=MAX_PROMPTS)] = (
        Field("", description="A text or its tokens, or a list of such.")
    )
    echo: bool = False
    logprobs: Annotated[Whole, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    best_of: Whole | None = Field(None, description="As many as n: none are thrown away.")

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_prompt(cls, value: Any) -> Any:
        """A list of one prompt is that prompt."""
        single = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list)
        return value[0] if single else value

    @property
    def prompts(self) -> list[str | list[int]]:
        """Its prompts, one at least."""
        given: Any = self.prompt
        is_single = isinstance(given, str) or not given or isinstance(given[0], int)
        return [given] if is_single else list(given)


class Function(_Body):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False


class Tool(_Body):
    """A tool; functions are the only kind."""

    type: Literal["function"] = "function"
    function: Function


class FunctionName(_Body):
    """The choice of a function."""

    name: str


class ToolChoice(_Body):
    """The choice of a tool."""

    type: Literal["function"] = "function"
    function: FunctionName


class JsonSchemaFormat(_Body):
    """What `response_format` holds beside the type json_schema."""

    name: str = ""
    schema_: dict[str, Any] | bool = Field(default_factory=dict, alias="schema")
    strict: bool = False


class ResponseFormat(_Body):
    """The form of the response's text."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchemaFormat | None = None
    schema_: dict[str, Any] | bool | None = Field(
        None, alias="schema", description="llama_cpp.server's own, beside the type json_object."
    )

    @model_validator(mode="after")
    def _has_schema(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema is missing")
        return self


class Message(_Body):
    """A message of a chat. What else it holds goes to the model's chat template as it is."""

    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Any = Field(None, description="A text, or a list of parts of the type text.")
    name: str | None = None
    tool_calls: Annotated[list[dict[str, Any]], _bounded(MAX_TOOLS)] | None = None
    tool_call_id: str | None = None


class ChatRequest(GenerationRequest):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True), _bounded(MAX_MESSAGES)]
    max_completion_tokens: Whole | None = Field(None, description="The newer name of max_tokens.")
    logprobs: bool = False
    top_logprobs: Annotated[Whole, Field(ge=0, le=MAX_TOP_LOGPROBS)] = 0
    response_format: ResponseFormat = Field(default_factory=lambda: ResponseFormat.model_validate({}))
    tools: Annotated[list[Tool], _bounded(MAX_TOOLS)] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | ToolChoice = "auto"
    functions: Annotated[list[Function], _bounded(MAX_TOOLS)] = Field(
        default_factory=list, description="Older form of tools."
    )
    function_call: Literal["none", "auto"] | FunctionName = "auto"


class TokenizeRequest(_Body):
    """POST /extras/tokenize and /extras/tokenize/count."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: Annotated[str, Field(max_length=MAX_TOKENIZED_CHARACTERS)]


class DetokenizeRequest(_Body):
    """POST /extras/detokenize."""

    model: Annotated[str, Field(max_length=512)] | None = None
    tokens: Annotated[Tokens, _bounded(MAX_DETOKENIZED)]


Request = TypeVar("Request", bound=_Body)


def parse(kind: type[Request], body: bytes) -> tuple[Request, dict[str, Any]]:
    """Read a request's body; also as it was sent.

    Raises:
        Refusal: 400 that names the field.
    """
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise errors.invalid(None, f"The request body has more than {MAX_VALUES} values or commas.")
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.invalid_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(sent, dict):
        raise errors.invalid_json("an object is wanted")
    try:
        return kind.model_validate(sent), sent
    except ValidationError as error:
        raise _refusal(sent, error) from error


def _refusal(sent: dict[str, Any], error: ValidationError) -> errors.Refusal:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    param = _param(sent, first["loc"])
    missing = first["type"] == "missing"
    text = "is required" if missing else first["msg"].removeprefix("Value error, ")
    code = "missing_required_parameter" if missing else "invalid_value"
    return errors.invalid(param or None, f"{param or 'The body'}: {text}.", code=code)


def _param(sent: Any, location: tuple[int | str, ...]) -> str:
    """A field's name as OpenAI's errors write it: messages[0].content.

    pydantic's locations also name the members of unions, which are left out: they are not in the body.
    """
    name, here = "", sent
    for number, step in enumerate(location):
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            name, here = f"{name}[{step}]", here[step]
        elif isinstance(step, str) and isinstance(here, dict):
            is_last = number == len(location) - 1
            if step in here or is_last:
                name, here = f"{name}.{step}" if name else step, here.get(step)
    return name[:200]
