"""Groups and budgets on the command line."""

from __future__ import annotations

from tests.bin.conftest import Cli, create


def test_groups_are_made_filled_and_deleted(cli: Cli) -> None:
    """Each command says what holds now; JSON has the values."""
    create(cli, "alice")
    assert cli("list-groups") == "There are no groups: create-group --name GROUP makes one.\n"
    made = cli("create-group", "--name", "lab", "--token-budget", "5000", "--budget-period", "week")
    assert made == "Created the group lab: 5000 tokens a week.\n"
    assert cli("set-group", "--username", "alice", "--name", "lab") == "alice is in the group lab now.\n"
    changed = cli("set-group-limits", "--name", "lab", "--rate-limit", "5", "--budget-period", "default")
    assert changed == "The members of lab share 5 requests in 60 s, 5000 tokens a month.\n"
    (group,) = cli.json("list-groups")
    assert (group["members"], group["rate_limit"], group["budget_period"]) == (["alice"], 5, None)
    assert cli("delete-group", "--name", "lab", "--yes") == "Deleted the group lab.\n"
    assert cli.json("show-user", "--username", "alice")["group"] is None
    audit = cli("audit")
    for action in ("create group", "change group", "delete group"):
        assert f"{action}  lab" in audit


def test_a_budget_is_shown_with_its_use(cli: Cli) -> None:
    """What is used, and when it is renewed."""
    create(cli, "alice", "--token-budget", "7", "--budget-period", "day")
    assert "Budget      0 of 7 tokens a day used; renewed 2" in cli("show-user", "--username", "alice")


def test_what_cannot_be_done_says_why(cli: Cli) -> None:
    """Names that are taken, missing or not allowed; periods that there are not."""
    create(cli, "alice")
    cli("create-group", "--name", "lab")
    assert "there is a group lab already" in cli.error("create-group", "--name", "lab")
    assert "there is no group labs" in cli.error("set-group", "--username", "alice", "--name", "labs")
    assert "there is no user bob" in cli.error("set-group", "--username", "bob", "--name", "lab")
    assert "cannot be a group's name" in cli.error("create-group", "--name", "a b")
