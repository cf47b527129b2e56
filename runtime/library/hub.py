"""The Hugging Face hub: which GGUF files a repository has, and a file of it, whole and verified.

The one module that imports huggingface_hub, so that nothing else waits for it. That library finds its
settings in the environment (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE) and beside it (a saved login).

Its `hf_hub_download` throws away what an interrupted process has fetched, and verifies no content. So
its request, `http_get`, is used with a file of our own, which is named by its checksum and gone on with.
Xet, the hub's other way of transfer, is not used: it goes on with nothing either.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
if not sys.stderr.isatty():
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers

# What it says of attempts that failed: the last one's failure is told by us.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


class HubError(Exception):
    """The hub cannot or will not give what was asked for. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository at one commit."""

    repo: str
    path: str
    """Within the repository."""
    size_bytes: int
    sha256: str
    url: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def gguf_files(repo: str) -> list[RemoteFile]:
    """The GGUF files of a repository's newest commit, by path.

    Raises:
        HubError: there is no such repository, no way to it, or no access.
    """
    with _explained(repo):
        info = HfApi().model_info(repo, files_metadata=True)
    files = [
        RemoteFile(
            repo=repo,
            path=one.rfilename,
            size_bytes=one.lfs.size,
            sha256=one.lfs.sha256,
            url=hf_hub_url(repo, one.rfilename, revision=info.sha),
        )
        for one in info.siblings or ()
        # A file that git holds itself is no model, and has no SHA-256.
        if one.lfs is not None and one.rfilename.lower().endswith(".gguf")
    ]
    return sorted((one for one in files if one.path.isprintable()), key=lambda one: one.path)


def part_of(file: RemoteFile, folder: Path) -> Path:
    """Where `fetch` keeps what it has of a file."""
    return folder / f"{file.sha256}.part"


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Fetch a file into a folder, from where an earlier attempt ended; verified, by its own name.

    Raises:
        HubError: it could not be fetched whole (what there is stays), or is not what the hub says it is
            (it is removed).
        OSError: it cannot be written.
    """
    part = part_of(file, folder)
    with part.open("ab") as output:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubError(f"{file.name} is being fetched by another ./console.sh pull") from None
        if output.tell() > file.size_bytes:
            output.truncate(0)
            output.seek(0)
        with _explained(file.repo, file.path):
            http_get(
                file.url,
                output,
                resume_size=output.tell(),
                headers=build_hf_headers(),
                expected_size=file.size_bytes,
                displayed_filename=file.name,
            )
        output.flush()
        os.fsync(output.fileno())
        _verify(part, file)
        whole = folder / file.name
        part.replace(whole)
    return whole


def _verify(part: Path, file: RemoteFile) -> None:
    with part.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        part.unlink()
        raise HubError(
            f"{file.name} came damaged: its SHA-256 is {found}, and the hub says {file.sha256}. It was "
            "removed: pull it again"
        )


@contextmanager
def _explained(repo: str, path: str = "") -> Iterator[None]:
    """Turn what the library and its HTTP client raise into a HubError."""
    where = constants.ENDPOINT
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubError("HF_HUB_OFFLINE is set: unset it to pull") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(error, repo, path)) from error
    except HFValidationError as error:
        raise HubError(f"'{repo}' is not a repository's name: it is OWNER/NAME") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise HubError(f"{where} cannot be reached: is there a network? ({error})") from error
    except httpx2.HTTPError as error:
        raise HubError(f"{where} broke off ({error or type(error).__name__}). {_GO_ON}") from error
    except OSError as error:
        if error.errno is not None:  # the disk's
            raise
        raise HubError(f"{path or repo} did not come whole. {_GO_ON}") from error
    except ValueError as error:
        raise HubError(f"{where} answers with something else than the hub does: {error}") from error


_GO_ON = "The same command goes on from there"


def _refusal(error: HfHubHTTPError, repo: str, path: str) -> str:
    status = error.response.status_code
    page = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, GatedRepoError):
        return (
            f"{repo} is gated: accept its conditions at {page}, then set HF_TOKEN to a token of yours "
            f"({constants.ENDPOINT}/settings/tokens)"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no {repo} on the hub, or it is private and HF_TOKEN may not read it"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"the hub refuses {repo} ({status}): set HF_TOKEN to a token that may read it"
    if status == HTTPStatus.NOT_FOUND:
        return f"{repo} has no {path}" if path else f"there is no {repo} on the hub"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = error.response.headers.get("retry-after", "")
        after = f"in {wait} seconds" if wait.isdecimal() else "in some minutes"
        return f"the hub takes no more requests for now: try again {after}, or with HF_TOKEN set"
    return f"the hub answers {status}: try again later"
