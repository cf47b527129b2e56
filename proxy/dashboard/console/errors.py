"""Why a command of the console cannot be run: texts that are shown as they are."""

from __future__ import annotations

from proxy.dashboard.data.errors import DashboardError, Unavailable


def not_a_repository() -> DashboardError:
    return DashboardError(
        "The repository must be OWNER/NAME, such as Qwen/Qwen2.5-0.5B-Instruct-GGUF, or smollm2 or "
        "embedding."
    )


def not_a_file() -> DashboardError:
    return DashboardError(
        "The file must be a name in the repository, such as model-q4_k_m.gguf, or a quantisation such "
        "as Q4_K_M."
    )


def no_file_with(name: str) -> DashboardError:
    return DashboardError(f"{name} is one file: leave the file empty.")


def unknown_model() -> DashboardError:
    return DashboardError("There is no such model in models/. Load the list again.")


def busy(command: str, username: str) -> DashboardError:
    return DashboardError(
        f"{command} runs already, begun by {username}: wait until it ends, or stop it."
    )


def not_running() -> DashboardError:
    return DashboardError("No command is running.")


def cannot_start(command: str, reason: str) -> Unavailable:
    return Unavailable(f"{command} cannot be started: {reason}.")


def too_slow(command: str) -> Unavailable:
    return Unavailable(f"{command} takes too long and was ended. Run it on the server.")


def failed(command: str, reason: str) -> Unavailable:
    return Unavailable(f"{command} failed: {reason or 'it said nothing'}.")
