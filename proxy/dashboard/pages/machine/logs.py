"""The logs of the parts, live. A page shows MAX_LINES at most."""

from __future__ import annotations

from collections import deque
from functools import partial

from nicegui import run, ui

from proxy.dashboard.console.logs import PARTS, Place, read
from proxy.dashboard.layout.page import View

MAX_LINES = 400
MAX_LINE_CHARS = 2_000
_REFRESH_S = 1.0


def build(view: View, panel: ui.element) -> None:
    """Fill the tab."""
    page = _Logs(view, panel)
    with ui.element("div").classes("panel"):
        with ui.row().classes("filters"):
            page.part = ui.select(
                list(PARTS), value=PARTS[0], label="Log of", on_change=page.begin
            ).props("outlined dense")
            ui.space()
            page.wanted = ui.input(placeholder="Lines with …", on_change=page.show).props(
                'outlined dense clearable data-search aria-label="Lines with"'
            )
            page.live = ui.switch("Live", value=True)
        page.text = ui.label().classes("code mono log")
    view.every(_REFRESH_S, page.refresh)


class _Logs:
    def __init__(self, view: View, panel: ui.element) -> None:
        self._view = view
        self._panel = panel
        self._log_dir = view.services.settings.config.root / "runtime" / "logs"
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._place: Place | None = None
        self.part: ui.select
        self.wanted: ui.input
        self.live: ui.switch
        self.text: ui.label

    def begin(self) -> None:
        """Begin with the log of another part."""
        self._lines.clear()
        self._place = None
        self.text.text = ""

    async def refresh(self) -> None:
        """Add what has been written since."""
        self._view.check(admin=True)
        part = str(self.part.value)
        if not self._panel.visible or (self._place is not None and not self.live.value):
            return
        found = await run.io_bound(partial(read, self._log_dir, part, self._place))
        if found is None or part != self.part.value:
            return
        lines, self._place = found
        self._lines.extend(line[:MAX_LINE_CHARS] for line in lines)
        if lines or not self._lines:
            self.show()

    def show(self) -> None:
        """Show the lines that are wanted, the newest first."""
        wanted = str(self.wanted.value or "").lower()
        lines = [line for line in self._lines if wanted in line.lower()]
        self.text.text = "\n".join(reversed(lines)) or "No lines."
