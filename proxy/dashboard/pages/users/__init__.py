"""The page Users and keys: all users for administrators, the own keys for everybody else."""

from proxy.dashboard.layout.page import Page, View
from proxy.dashboard.pages.users import everyone, own


def build(view: View) -> None:
    """Fill the page."""
    if view.is_admin:
        everyone.build(view)
    else:
        own.build(view)


PAGE = Page(path="/users", title="Users and keys", icon="group", build=build)
