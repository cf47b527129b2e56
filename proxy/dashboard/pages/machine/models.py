"""The models of this machine: whether they fit, which one is served; downloading and switching."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui

from proxy.dashboard.console import commands
from proxy.dashboard.console.commands import Command
from proxy.dashboard.console.jobs import Job, downloaded_bytes
from proxy.dashboard.layout import units
from proxy.dashboard.layout.dialogs import confirmed
from proxy.dashboard.layout.page import View
from proxy.database import audit

_REFRESH_S = 1.0
_SHOWN_LINES = 12
_FITS = {
    "yes": "fits",
    "gpu": "fits into the GPU",
    "tight": "fits, with few saved prompts",
    "no": "does not fit",
}


def build(view: View, _panel: ui.element) -> None:
    """Fill the tab."""
    page = _Models(view)
    with ui.element("div").classes("panel"):
        with ui.row().classes("filters"):
            ui.label("Models").classes("heading")
            ui.space()
            ui.button(icon="refresh", on_click=view.action(page.reload, admin=True)).props(
                'flat round dense aria-label="Read the list anew"'
            )
        page.add_list()
    with ui.element("div").classes("panel"):
        ui.label("Download a model").classes("heading")
        page.add_form()
    with ui.element("div").classes("panel") as page.job_panel:
        page.add_job()
    view.every(_REFRESH_S, page.refresh)


class _Models:
    def __init__(self, view: View) -> None:
        self._view = view
        self._root = view.services.settings.config.root
        self._shown: list[dict[str, Any]] | None = None
        self._is_stale = False
        """Whether a job has ended since the list was read."""
        self._job: Job | None = None
        self.job_panel: ui.element

    def add_list(self) -> None:
        """Where the models stand."""
        self._list = ui.element("div").classes("wide")
        with self._list:
            ui.label("Reading the models …").classes("soft")

    def add_form(self) -> None:
        """The form of a download."""
        with ui.row().classes("filters"):
            self._repository = ui.input(
                "Repository on the Hugging Face hub", placeholder="OWNER/NAME-GGUF, or smollm2"
            ).props("outlined dense maxlength=193")
            self._file = ui.input("File or quantisation", placeholder="proposed").props(
                "outlined dense maxlength=200"
            )
            self._button("Download", self._pull, "unelevated")
        ui.label(
            "The largest quantisation that suits this machine's memory is proposed. An interrupted "
            "download is resumed. HF_TOKEN in the server's environment opens gated repositories."
        ).classes("soft")

    def add_job(self) -> None:
        """Where the command that runs is shown."""
        with ui.row().classes("filters"):
            self._job_title = ui.label().classes("heading mono")
            self._job_state = ui.label().classes("tag").mark("job state")
            ui.space()
            self._job_stop = self._button("Stop", self._stop, "outline dense no-caps")
        self._job_about = ui.label().classes("soft")
        self._job_lines = ui.label().classes("code mono")
        self.job_panel.visible = False

    async def reload(self) -> None:
        """Run the command anew."""
        await self._show_models(fresh=True)

    async def refresh(self) -> None:
        """Show how the job is, and the models at first and when a job has ended."""
        self._view.check(admin=True)
        job = self._view.services.jobs.last
        if job is not None and not job.runs and self._job_stop.visible:
            self._is_stale = True
        self._show_job(job)
        if self._shown is None or self._is_stale:
            await self._show_models(fresh=self._is_stale)
            self._is_stale = False

    def _show_job(self, job: Job | None) -> None:
        self.job_panel.visible = job is not None
        if job is None:
            return
        self._job_title.text = job.command.text
        self._job_state.text = job.outcome
        self._job_stop.visible = job.runs
        about = f"begun by {job.username}"
        if job.runs and (size := downloaded_bytes(self._root)):
            about += f" · {units.size(size)} downloaded"
        self._job_about.text = about
        self._job_lines.text = "\n".join(list(job.lines)[-_SHOWN_LINES:])
        self._job_lines.visible = bool(job.lines)

    async def _show_models(self, *, fresh: bool) -> None:
        found = await self._view.services.console.ask(commands.MODELS, fresh=fresh)
        if found == self._shown:
            return
        self._shown = found
        self._list.clear()
        with self._list:
            for model in found:
                self._show_model(model)
            if not found:
                ui.label("There is no model in models/: download one below.").classes("empty")

    def _show_model(self, model: dict[str, Any]) -> None:
        with ui.element("div").classes("key-row"):
            with ui.element("div").classes("key-about"):
                with ui.row().classes("key-title"):
                    ui.label(str(model["name"])).classes("mono")
                    if model["state"]:
                        ui.label(str(model["state"])).classes("tag")
                ui.label(about(model)).classes("soft")
            if not model["state"] and "problem" not in model and model.get("pooling") is None:
                self._button("Use", self._user_of(model), "outline dense no-caps")

    def _button(self, text: str, act: Callable[[], Any], props: str) -> ui.button:
        return ui.button(text, on_click=self._view.action(act, admin=True, once=True)).props(props)

    def _user_of(self, model: dict[str, Any]) -> Callable[[], Any]:
        async def use() -> None:
            name = str(model["name"])
            known = [str(one["name"]) for one in self._shown or []]
            command = commands.use(name, known)
            if await confirmed(
                f"Serve {name}? Running requests may end, new ones wait until it is loaded.", "Switch"
            ):
                await self._begin(command)

        return use

    async def _pull(self) -> None:
        await self._begin(commands.pull(self._repository.value.strip(), self._file.value.strip()))

    async def _begin(self, command: Command) -> None:
        # The role may have changed while the question stood.
        self._view.check(admin=True)
        jobs = self._view.services.jobs
        jobs.check_idle()
        # The audit comes first: a command without it does not run.
        await self._view.ask(audit.note, "run command", {"command": command.text})
        jobs.begin(command, self._view.username)

    async def _stop(self) -> None:
        job = self._view.services.jobs.stop(self._view.username)
        await self._view.ask(audit.note, "stop command", {"command": job.command.text})


def about(model: dict[str, Any]) -> str:
    """A model in a line."""
    if "problem" in model:
        return f"Not usable: {model['problem']}"
    parts = [
        units.size(model["size_bytes"]),
        str(model["architecture"]),
        f"{units.compact(model['parameters'])} parameters",
        str(model["quantisation"] or ""),
        f"context {model['context_length']:,}" if model["context_length"] else "",
        {None: ""}.get(model["pooling"], "reranks" if model["pooling"] == "rank" else "embeds"),
        f"{_FITS.get(model['fits'], model['fits'])} (needs {units.size(model['needs_bytes'])})",
    ]
    return " · ".join(part for part in parts if part)
