"""Pages for visitors without a session: plain HTML, and nothing stays in memory."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse

MAX_FORM_BYTES = 8_192
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True
)


def plain_page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page from `templates/`. Values are escaped."""
    text = _TEMPLATES.get_template(template).render(**values)
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that a browser sends; empty where there are too many bytes."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
