"""What the descriptions of requests are made of: their base, numbers, bounds and errors."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

FIELD_ERROR = "field_error"
INT64 = 2**63
MAX_STOP_CHARACTERS = 256


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole), Field(ge=-INT64, lt=INT64)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Tokens = Annotated[list[Whole], Field(fail_fast=True)]
Stop = Annotated[str, Field(max_length=MAX_STOP_CHARACTERS)]


class Body(BaseModel):
    """What all requests and their parts have in common: a field that is null counts as absent."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if isinstance(body, dict):
            return {name: value for name, value in body.items() if value is not None}
        return body


def bounded(most: int) -> BeforeValidator:
    """Refuse a longer list or object before any of its members is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, list | dict) and len(value) > most:
            raise ValueError(f"at most {most} are allowed")
        return value

    return BeforeValidator(check)


def field_error(field: str, text: str) -> PydanticCustomError:
    """The error of a field that does not fit the others. `text` goes on after the field's name."""
    return PydanticCustomError(FIELD_ERROR, "{text}", {"field": field, "text": text})
