"""NiceGUI's page template, whose inline scripts get the response's nonce.

The nonces are put into the template's own text before any value is filled in, so a script that came
with a value would have none.
"""

from __future__ import annotations

from jinja2 import BaseLoader, Environment
from nicegui import client

_SCRIPT, _WITH_NONCE = "<script", '<script nonce="{{ request.state.csp_nonce }}"'


class _WithNonces(BaseLoader):
    def __init__(self, inner: BaseLoader) -> None:
        self._inner = inner

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, None]:
        source, filename, _ = self._inner.get_source(environment, template)
        return source.replace(_SCRIPT, _WITH_NONCE), filename, None


def add_nonces() -> None:
    """Change how NiceGUI reads its template. Call it once, before the first page."""
    environment = client.templates.env
    assert environment.loader is not None
    environment.loader = _WithNonces(environment.loader)
    environment.cache = {}
