"""What becomes of answers and parameters, without a browser."""

from __future__ import annotations

import pytest

from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.pages.chat.conversation import place_text
from proxy.dashboard.pages.chat.message import blocks
from proxy.dashboard.pages.chat.parameters import read_number, read_schema


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [(False, "plain")]),
        ("a\n```python\nx = 1\n```\nb", [(False, "a"), (True, "x = 1"), (False, "b")]),
        ("```\nopen to the end", [(True, "open to the end")]),
        ("no `inline` ``` fence", [(False, "no `inline` ``` fence")]),
        ("```\n```", []),
        ("<b>\n```html\n<script>\n```", [(False, "<b>"), (True, "<script>")]),
    ],
)
def test_fenced_blocks_are_code(text: str, expected: list[tuple[bool, str]]) -> None:
    """Everything else stays as it is."""
    assert [piece for piece in blocks(text) if piece[1]] == expected


def test_many_fences_are_divided_in_time() -> None:
    """A text of fences alone does not take longer than its length says."""
    assert len(blocks("```\nx\n```\n" * 20_000)) == 20_000
    assert len(blocks("```" * 80_000)) == 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("max_tokens", "12", 12), ("temperature", "0,7", 0.7), ("top_p", " 1 ", 1.0), ("seed", "", None)],
)
def test_numbers_are_read(name: str, text: str, value: float | None) -> None:
    """With a comma too; an empty field leaves the parameter to the server."""
    assert read_number(name, "Field", text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max_tokens", "0"),
        ("max_tokens", "1.5"),
        ("temperature", "2.1"),
        ("top_p", "nan"),
        ("seed", "-1"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, text: str) -> None:
    """By the field's name, with what is allowed."""
    with pytest.raises(DashboardError, match=r"Field must be a .*number from"):
        read_number(name, "Field", text)


@pytest.mark.parametrize("text", ["[", "[]", "3", '{"a": NaN}', "{" * 100_000])
def test_a_schema_is_an_object(text: str) -> None:
    """Anything else is refused before a request is sent."""
    with pytest.raises(DashboardError, match="The schema"):
        read_schema(text)
    assert read_schema('{"type": "object"}') == {"type": "object"}


def test_a_place_in_the_queue_is_told() -> None:
    """With an estimate, where there is one worth telling."""
    assert (
        place_text({"place": 3, "estimated_wait_s": 12.4})
        == "at place 3 in the queue, about 12.4 s more"
    )
    for estimate in (None, 0.5):
        assert place_text({"place": 1, "estimated_wait_s": estimate}) == "at place 1 in the queue"
