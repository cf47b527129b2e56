"""Tools as clients describe them, for templates that want more, or something simpler."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.engine.templates.conftest import CHATML, Make
from tests.runtime.engine.templates.test_chat_template import said

DEMANDING = (
    "{% for tool in tools or [] %}{{ tool.type + ' ' + tool.function.name + ': ' + "
    "tool.function.description }}{% for name, one in tool.function.parameters.properties.items() %}\n"
    "{{ name + ' (' + one.type + '): ' + one.description }}"
    "{{ '' if name in tool.function.parameters.required else ' optional' }}{% endfor %}{% endfor %}"
)
"""Reads fields that need not be there, as many templates do."""


def tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "add", **function}}


def properties(**schemas: Any) -> dict[str, Any]:
    return tool(parameters={"type": "object", "properties": schemas})


@pytest.mark.parametrize(
    "sent",
    [
        tool(),
        tool(description=None, parameters=None),
        tool(parameters={}),
        tool(parameters={"type": "object", "properties": None, "required": None}),
        tool(parameters={"anyOf": [{"type": "object"}]}),
        properties(zq={"type": "string"}),
        properties(zq={"type": ["string", "null"], "description": None}),
        properties(zq={}, other=True, third=False),
        properties(zq={"enum": [1, None, "x"]}, other={"const": None}),
        properties(zq={"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]}),
        properties(zq={"type": "array", "items": True, "default": None}),
        {"function": {"name": "add"}},
        properties(zq={"type": 5}, other={"type": {"zq": 1}}, third={"type": [None, 5]}),
    ],
)
def test_a_template_is_given_what_it_reads(made: Make, sent: dict[str, Any]) -> None:
    """A missing description is an empty one, and a schema of several types is shown as JSON."""
    text = made(DEMANDING + CHATML).render([said("user", "word1")], tools=[sent]).text

    assert "add: " in text
    assert "word1" in text
    for name in (sent["function"].get("parameters") or {}).get("properties") or ():
        assert f"{name} (" in text


def test_properties_that_are_none_are_left_out(made: Make) -> None:
    """As in a schema that a client has got wrong."""
    sent = tool(parameters={"type": "object", "properties": ["zq"]})

    text = made(DEMANDING + CHATML).render([said("user", "word1")], tools=[sent]).text

    assert text.startswith("function add: <|im_start|>user\nword1")


def test_a_schema_that_is_made_simple_stands_in_the_description(made: Make) -> None:
    """The model still reads all of it."""
    schema = {"type": ["integer", "null"], "description": "Years", "minimum": 3}

    text = made(DEMANDING).render([said("user", "a")], tools=[properties(age=schema)]).text

    assert 'age (integer): Years {"type": ["integer", "null"], "minimum": 3}' in text


def test_tools_are_given_as_they_were_sent_where_that_is_rendered(made: Make) -> None:
    """A template that shows JSON shows the client's."""
    sent = properties(zq=True)

    text = made("{{ tools | tojson }}" + CHATML).render([said("user", "a")], tools=[sent]).text

    assert '{"name": "add", "parameters": {"type": "object", "properties": {"zq": true}}}' in text
