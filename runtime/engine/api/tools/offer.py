"""Which functions a request offers to the model, and whether it must call one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime.engine import errors
from runtime.engine.api.schemas import AllowedTools, ChatRequest, Function, FunctionName, ToolChoice


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The functions that may be called, one at least."""

    functions: Sequence[Function]
    is_required: bool = False
    """Whether the response must be a call."""
    is_named: bool = False
    """Whether the request names the one function that must be called."""
    is_parallel: bool = True
    """Whether it may be several."""
    is_legacy: bool = False
    """Whether the request has the older form, `functions`."""

    @property
    def param(self) -> str:
        """The field of the request with the functions."""
        return "functions" if self.is_legacy else "tools"


def offer(request: ChatRequest) -> Offer | None:
    """What a request offers; None where no function may be called.

    Raises:
        Refusal: 400; it demands a function that it does not offer.
    """
    if request.tools:
        return _of_tools(request)
    if isinstance(request.tool_choice, ToolChoice | AllowedTools) or request.tool_choice == "required":
        raise errors.invalid("tool_choice", "tool_choice: there are no tools to choose from.")
    return _of_functions(request)


def _of_tools(request: ChatRequest) -> Offer | None:
    functions = _unique([tool.function for tool in request.tools])
    choice, is_parallel = request.tool_choice, request.parallel_tool_calls
    if choice == "none":
        return None
    if isinstance(choice, ToolChoice):
        named = [_named(choice.function.name, functions, "tool_choice")]
        return Offer(functions=named, is_required=True, is_named=True, is_parallel=False)
    if isinstance(choice, AllowedTools):
        allowed = choice.allowed_tools
        names = [tool.function.name for tool in allowed.tools]
        return Offer(
            functions=_unique([_named(name, functions, "tool_choice") for name in names]),
            is_required=allowed.mode == "required",
            is_parallel=is_parallel,
        )
    return Offer(functions=functions, is_required=choice == "required", is_parallel=is_parallel)


def _of_functions(request: ChatRequest) -> Offer | None:
    choice = request.function_call
    functions = _unique(request.functions)
    if isinstance(choice, FunctionName):
        functions = [_named(choice.name, functions, "function_call")]
        return Offer(
            functions=functions, is_required=True, is_named=True, is_parallel=False, is_legacy=True
        )
    if not functions or choice == "none":
        return None
    return Offer(functions=functions, is_parallel=False, is_legacy=True)


def _unique(functions: Sequence[Function]) -> list[Function]:
    """The functions, the first of each name."""
    return list({function.name: function for function in reversed(functions)}.values())[::-1]


def _named(name: str, functions: Sequence[Function], param: str) -> Function:
    for function in functions:
        if function.name == name:
            return function
    raise errors.invalid(param, f"{param}: none of the functions has this name.")


def shown_tools(request: ChatRequest, sent: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools for the model's chat template, in the form in which the client sent them."""
    if request.tools:
        return [] if request.tool_choice == "none" else list(sent["tools"])
    if request.functions and request.function_call != "none":
        return [{"type": "function", "function": function} for function in sent["functions"]]
    return []
