"""A client of the Hugging Face hub: lists a repository's GGUF files, downloads and verifies a file.

The only module that imports huggingface_hub, which takes long to import. That library reads its settings
from the environment (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE) and a saved login.

Its `hf_hub_download` discards what an interrupted process has downloaded, and does not verify the
content. Therefore its `http_get` is used with our own file, which is named by its checksum and can be
resumed. Xet, the hub's other way of transfer, is turned off: it cannot resume either.
"""

from __future__ import annotations

import errno
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

# It logs each failed attempt. We report the failure of the last one.
logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


class HubError(Exception):
    """The hub did not deliver the file. The text gives the reason and says what to do."""


class UnreachableError(HubError):
    """No connection to the hub."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of a repository at one commit."""

    repo: str
    path: str
    """Path within the repository."""
    size_bytes: int
    sha256: str
    url: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def gguf_files(repo: str) -> list[RemoteFile]:
    """The GGUF files of a repository's newest commit, sorted by path.

    Raises:
        HubError: the repository does not exist, cannot be reached, or needs a token.
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
        # A file that is stored in git itself is not a model, and has no SHA-256.
        if one.lfs is not None and one.rfilename.lower().endswith(".gguf")
    ]
    return sorted((one for one in files if one.path.isprintable()), key=lambda one: one.path)


def part_of(file: RemoteFile, folder: Path) -> Path:
    """The file in which `fetch` keeps an unfinished download."""
    return folder / f"{file.sha256}.part"


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Download a file into a folder and verify it. Resumes an earlier attempt.

    Raises:
        HubError: the download was interrupted (the beginning is kept), or the content does not match the
            checksum (it is removed).
        OSError: the file cannot be written.
    """
    part = part_of(file, folder)
    with part.open("ab") as output:
        try:
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubError(f"{file.name} is being downloaded by another ./console.sh pull") from None
        except OSError as error:
            # A home on NFS: a second download at the same time is found by the checksum.
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
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
            f"{file.name} was damaged: its SHA-256 is {found}, but should be {file.sha256}. It was "
            "removed: run the same command again"
        )


@contextmanager
def _explained(repo: str, path: str = "") -> Iterator[None]:
    """Turn the exceptions of the library and its HTTP client into a HubError."""
    where = constants.ENDPOINT
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UnreachableError("HF_HUB_OFFLINE is set: unset it to download models") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(error, repo, path)) from error
    except HFValidationError as error:
        raise HubError(f"'{repo}' is not the name of a repository: use OWNER/NAME") from error
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise UnreachableError(
            f"{where} cannot be reached: check the network ({error}). "
            "./console.sh pull smollm2 gets a small model without it"
        ) from error
    except httpx2.HTTPError as error:
        raise HubError(
            f"the connection to {where} ended ({error or type(error).__name__}). {_RESUME}"
        ) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk
            raise
        raise HubError(f"the download of {path or repo} is incomplete. {_RESUME}") from error
    except ValueError as error:
        raise HubError(f"{where} does not answer like the hub: {error}") from error


_RESUME = "Run the same command again to resume"


def _refusal(error: HfHubHTTPError, repo: str, path: str) -> str:
    status = error.response.status_code
    page = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, GatedRepoError):
        return (
            f"{repo} is gated: accept its conditions at {page}, then set HF_TOKEN to your token "
            f"({constants.ENDPOINT}/settings/tokens)"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no {repo} on the hub, or it is private and HF_TOKEN cannot read it"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"the hub refuses {repo} ({status}): set HF_TOKEN to a token that can read it"
    if status == HTTPStatus.NOT_FOUND:
        return f"{repo} has no {path}" if path else f"there is no {repo} on the hub"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = error.response.headers.get("retry-after", "")
        after = f"in {wait} seconds" if wait.isdecimal() else "in some minutes"
        return f"the hub limits the number of requests: try again {after}, or with HF_TOKEN set"
    return f"the hub answers {status}: try again later"
