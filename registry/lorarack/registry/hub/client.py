"""The Hub's client, set up from the current environment; its errors become ours, each with one sentence that says what to do.

huggingface_hub reads ``HF_ENDPOINT`` once, when it is imported; here it is read at each call, so a program (or a test) may
set it late. The token is ``HF_TOKEN``, else what ``hf auth login`` left behind;
it never gets into a sentence.
"""

import os
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lorarack.registry.errors import LorarackError, NotAllowed, NotFound, Unavailable, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

_QUERY = re.compile(r"\?[^\s'\"]+")  # addresses of uploads carry signatures there
_PUBLIC_HUB = "https://huggingface.co"


def hub_endpoint() -> str:
    """The address of the Hub that is asked: ``HF_ENDPOINT``, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or _PUBLIC_HUB).rstrip("/")


def hub_api() -> "HfApi":
    """A client for that address; importing huggingface_hub waits until here, because it is slow.

    Raises:
        NotAllowed: a token was to come from a CI provider, and none came.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import OIDCError

    try:
        token = get_token()
    except OIDCError as error:
        raise NotAllowed(
            "HF_OIDC_RESOURCE asks for a token from this machine's CI provider, which gives none; unset it and set HF_TOKEN.",
            code="no_token",
        ) from error
    # False, not None: with None each call would look for a token again, by rules that differ between calls.
    return HfApi(endpoint=hub_endpoint(), token=token or False, library_name="lorarack")


@contextmanager
def hub_errors(repo_id: str) -> Iterator[None]:
    """Translate what the client raises about ``repo_id``. Errors of the local disk pass through.

    Raises:
        NotFound: no such repository, revision or file; or one that is gated.
        NotAllowed: the token is missing, refused, or has too few rights.
        UsageError: the Hub does not take the repository's name.
        Unavailable: offline, no answer in time, or the Hub's own trouble.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        translated = _translate(error, repo_id)
        if translated is None:
            raise
        raise translated from error
    except (AttributeError, LookupError, TypeError) as error:
        if not _raised_by_the_client(error):
            raise  # a fault of ours
        raise Unavailable(
            f"What answers at {hub_endpoint()} about {repo_id!r} is not what the Hub answers; check HF_ENDPOINT."
        ) from error
    except Exception as error:
        import httpx2  # what huggingface_hub speaks through; its transport errors are no OSError

        if not isinstance(error, httpx2.HTTPError):
            raise
        raise _not_reached(error) from error


def _raised_by_the_client(error: BaseException) -> bool:
    """Over an answer of another form than the Hub's: the client looks things up in it without asking."""
    module = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] == "huggingface_hub"


def _translate(error: BaseException, repo_id: str) -> LorarackError | None:
    from huggingface_hub import errors

    match error:
        case errors.HfHubHTTPError():
            return _answered(error, repo_id)
        case errors.OfflineModeIsEnabled():
            return Unavailable(
                "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it and try again.", code="offline"
            )
        case errors.HFValidationError() | errors.HfUriError():
            return UsageError(
                f"The Hub does not take the name {repo_id!r}: {first_line(error)}.", code="bad_repository"
            )
    return _by_cause(error, repo_id)


def _by_cause(error: BaseException, repo_id: str) -> LorarackError | None:
    """The client wraps some errors in generic ones; the inner message is the useful one."""
    import httpx2
    from huggingface_hub import errors

    cause = error.__cause__
    if isinstance(cause, httpx2.TransportError):
        return _not_reached(cause)
    inner = _translate(cause, repo_id) if cause is not None else None
    if inner is not None:
        return inner
    if isinstance(error, ConnectionError | TimeoutError):
        return _not_reached(error)
    foreign_to_the_disk = (errors.LocalEntryNotFoundError, errors.FileMetadataError, ValueError, RuntimeError)
    if isinstance(error, foreign_to_the_disk) or not isinstance(error, OSError):
        return Unavailable(f"The exchange with the Hub about {repo_id!r} failed: {first_line(error)}.")
    return None


def _answered(error: "HfHubHTTPError", repo_id: str) -> LorarackError:
    """An HTTP answer that is an error."""
    from huggingface_hub import errors

    where = hub_endpoint()
    match error:
        case errors.GatedRepoError():
            return NotFound(
                f"The repository {repo_id!r} is gated: accept its conditions at {where}/{repo_id}, "
                "and set HF_TOKEN to a token of that account.",
                code="gated",
            )
        case errors.RepositoryNotFoundError():
            return NotFound(
                f"There is no repository {repo_id!r} at {where} that your token may see; "
                "check the name, and for a private one set HF_TOKEN to a token that may read it.",
                code="no_repository",
            )
        case errors.RevisionNotFoundError():
            return NotFound(
                f"The repository {repo_id!r} has no such revision; give a branch, a tag or a commit that it has.",
                code="no_revision",
            )
        case errors.RemoteEntryNotFoundError():
            return NotFound(f"The repository {repo_id!r} has no such file at this revision.", code="no_file")
    return _by_status(error, repo_id)


def _by_status(error: "HfHubHTTPError", repo_id: str) -> LorarackError:
    where, status = hub_endpoint(), error.response.status_code
    said = first_line(error.server_message or error)
    if status == 401:
        return NotAllowed(
            f"The Hub at {where} does not accept the token; set HF_TOKEN to a valid one.", code="bad_token"
        )
    if status == 403:
        return NotAllowed(
            f"The token may not do this to {repo_id!r} ({said}); set HF_TOKEN to a token that may write there, "
            "or name a repository of your own.",
            code="not_yours",
        )
    if status == 429:
        return Unavailable(f"The Hub at {where} asks to slow down; try again later.", code="rate_limited")
    if status >= 500:
        return Unavailable(f"The Hub at {where} has trouble of its own (status {status}); try again later.")
    return Unavailable(f"The Hub at {where} refused the request about {repo_id!r} (status {status}): {said}.")


def _not_reached(error: BaseException) -> Unavailable:
    why = first_line(error) or type(error).__name__
    return Unavailable(
        f"The Hub at {hub_endpoint()} cannot be reached ({why}); check the network and HF_ENDPOINT, then try again."
    )


def first_line(error: object) -> str:
    """The first line with text, without URL queries and the final stop."""
    lines = [line.strip() for line in str(error).splitlines()]
    return _QUERY.sub("", next((line for line in lines if line), "")).rstrip(".")[:300]
