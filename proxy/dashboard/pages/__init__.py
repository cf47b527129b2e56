"""The pages, one module each; `PAGES` lists them in the order of the navigation."""

from proxy.dashboard.layout.page import Page
from proxy.dashboard.pages import batches, chat, connect, machine, now, requests, usage, users

PAGES: tuple[Page, ...] = (
    now.PAGE,
    usage.PAGE,
    requests.PAGE,
    batches.PAGE,
    users.PAGE,
    connect.PAGE,
    chat.PAGE,
    machine.PAGE,
)
