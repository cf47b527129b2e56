"""The requests that the engine takes, field by field, and the ranges of their values.

Sources: https://platform.openai.com/docs/api-reference/chat/create and …/completions/create; beside
them the fields of llama_cpp.server's own (top_k, min_p, mirostat_*, grammar …). A null counts as
absent. Fields not named here are accepted and ignored, as OpenAI's clients send many that a local
model has no use for (store, service_tier …).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from runtime.engine.api.fields import Body, Number, Stop, Tokens, Whole, bounded, field_error
from runtime.engine.templates.messages import present

FUNCTION_NAME = r"^[a-zA-Z0-9_.:/-]+$"
MAX_STOPS = 16
MAX_LOGIT_BIASES = 1024
MAX_MESSAGES = 4096
MAX_TOP_LOGPROBS = 20
MAX_METADATA = 16
MAX_TOOLS = 128
MAX_VARIABLES = 64
"""Variables for the chat template."""
MAX_CHOICES = 16
"""Responses to one prompt."""
MAX_PROMPTS = 128
"""The most prompts of a request, and the most responses to all of them."""
MAX_DETOKENIZED = 65_536
MAX_TOKENIZED_CHARACTERS = 2**22


BiasedToken = Annotated[str, Field(max_length=64)]
Bias = Annotated[float, Field(ge=-100, le=100)]


class StreamOptions(Body):
    """How a stream ends."""

    include_usage: bool = False


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    bounded(MAX_METADATA),
]


class GenerationRequest(Body):
    """What requests for a completion and for a chat have in common."""

    model: Annotated[str, Field(max_length=512)] | None = None
    max_tokens: Whole | None = Field(
        None, description="Of the response; absent, 0 and below: the server's default."
    )
    min_tokens: Annotated[Whole, Field(ge=0, le=2**31 - 1)] = 0
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.8
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
    stop: Annotated[list[Stop], bounded(MAX_STOPS)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions | None = None
    logit_bias: Annotated[dict[BiasedToken, Bias], bounded(MAX_LOGIT_BIASES)] = Field(
        default_factory=dict
    )
    logit_bias_type: Literal["input_ids", "tokens"] = "input_ids"
    n: Annotated[Whole, Field(ge=1, le=MAX_CHOICES, description="Responses to each prompt.")] = 1
    grammar: str | None = Field(None, description="GBNF, or llguidance's Lark.")
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="Ignored.")
    metadata: Metadata | None = Field(None, description="Ignored.")

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _options_of_a_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise field_error("stream_options", "goes with stream: true, or is left out")
        return self


class CompletionRequest(GenerationRequest):
    """POST /v1/completions."""

    prompt: str | Tokens | Annotated[list[str | Tokens], Field(min_length=1, max_length=MAX_PROMPTS)] = (
        Field("", description="A text or its tokens, or a list of such.")
    )
    echo: bool = False
    logprobs: Annotated[Whole, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    best_of: Annotated[Whole, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        None, description="Generate so many, and return the n with the highest mean log probability."
    )

    @field_validator("prompt", mode="before")
    @classmethod
    def _one_prompt(cls, value: Any) -> Any:
        """A list of one prompt is that prompt."""
        single = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list)
        return value[0] if single else value

    @model_validator(mode="after")
    def _chosen_from_enough(self) -> Self:
        if self.best_of is not None and self.best_of < self.n:
            raise field_error("best_of", "must be at least n")
        if self.stream and self.n_generated > self.n:
            raise field_error("best_of", "more than n cannot be streamed: the best are known at the end")
        return self

    @property
    def n_generated(self) -> int:
        """Responses generated for each prompt."""
        return self.n if self.best_of is None else self.best_of

    @property
    def prompts(self) -> list[str | list[int]]:
        """Its prompts, one at least."""
        given: Any = self.prompt
        is_single = isinstance(given, str) or not given or isinstance(given[0], int)
        return [given] if is_single else list(given)


class Function(Body):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: Annotated[str, Field(max_length=128, pattern=FUNCTION_NAME)]
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False


class Tool(Body):
    """A tool; functions are the only kind."""

    type: Literal["function"] = "function"
    function: Function


class FunctionName(Body):
    """The choice of a function."""

    name: str


class ToolChoice(Body):
    """The choice of a tool."""

    type: Literal["function"] = "function"
    function: FunctionName


class AllowedNames(Body):
    """Some of the tools, and whether one of them must be called."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[ToolChoice], Field(min_length=1), bounded(MAX_TOOLS)]


class AllowedTools(Body):
    """The choice among some of the tools; the prompt describes all of them."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedNames


class JsonSchemaFormat(Body):
    """What `response_format` holds beside the type json_schema."""

    name: str = ""
    schema_: dict[str, Any] | bool = Field(default_factory=dict, alias="schema")
    strict: bool = False


class ResponseFormat(Body):
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


class Message(Body):
    """A message of a chat. What else it holds goes to the model's chat template as it is."""

    model_config = ConfigDict(strict=True, extra="allow", hide_input_in_errors=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Any = Field(
        None,
        description="A text, or a list of parts of the type text; of image_url too, with a projector.",
    )
    name: str | None = None
    tool_calls: Annotated[list[dict[str, Any]], bounded(MAX_TOOLS)] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty_fields(cls, message: Any) -> Any:
        if isinstance(message, dict):
            return present(message)
        return message


class ChatRequest(GenerationRequest):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True), bounded(MAX_MESSAGES)]
    max_completion_tokens: Whole | None = Field(None, description="The newer name of max_tokens.")
    logprobs: bool = False
    top_logprobs: Annotated[Whole, Field(ge=0, le=MAX_TOP_LOGPROBS)] = 0
    response_format: ResponseFormat = Field(default_factory=lambda: ResponseFormat.model_validate({}))
    tools: Annotated[list[Tool], bounded(MAX_TOOLS)] = Field(default_factory=list)
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | AllowedTools = "auto"
    parallel_tool_calls: bool = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="For chat templates that know it; none lets the model not think."
    )
    reasoning_budget: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="Tokens after which the model's thinking is ended; 0: it does not think."
    )
    chat_template_kwargs: Annotated[dict[str, Any], bounded(MAX_VARIABLES)] = Field(
        default_factory=dict, description="For the model's chat template, such as enable_thinking."
    )
    add_generation_prompt: bool = True
    continue_final_message: bool = Field(
        False, description="The response continues the last message, which is the assistant's."
    )
    functions: Annotated[list[Function], bounded(MAX_TOOLS)] = Field(
        default_factory=list, description="Older form of tools."
    )
    function_call: Literal["none", "auto"] | FunctionName = "auto"
    modalities: Annotated[list[Literal["text"]], Field(max_length=1)] | None = Field(
        None, description="Text is the only one."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise field_error("top_logprobs", "needs logprobs: set logprobs to true, or leave it out")
        older, newer = self.max_tokens, self.max_completion_tokens
        if older is not None and newer is not None and older != newer:
            raise field_error("max_tokens", "contradicts max_completion_tokens: send one of the two")
        return self


class TokenizeRequest(Body):
    """POST /extras/tokenize and /extras/tokenize/count."""

    model: Annotated[str, Field(max_length=512)] | None = None
    input: Annotated[str, Field(max_length=MAX_TOKENIZED_CHARACTERS)]


class DetokenizeRequest(Body):
    """POST /extras/detokenize."""

    model: Annotated[str, Field(max_length=512)] | None = None
    tokens: Annotated[Tokens, bounded(MAX_DETOKENIZED)]
