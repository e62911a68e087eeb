"""Every error that lorarack raises on purpose.

One class for each different thing a caller can do about it::

    LorarackError                  1  500
    ├── UsageError                 2  400  the call itself is wrong: correct it
    │   └── BadReference           2  400  not a reference at all
    ├── NotFound                   1  404  nothing of that name: look for another
    ├── Conflict                   1  409  the state forbids it: change the state first
    │   └── NotServeable           1  422  a good version that this server cannot serve whole
    ├── InvalidArtifact            1  422  the folder is not an adapter we can keep: repair the folder
    ├── GateRefused                3  409  a rule that the user set said no
    ├── NotAllowed                 1  403  a credential is missing or not enough
    ├── StoreError                 1  503  disk, database or lock: repair the machine, try again
    │   ├── Damaged                1  500  stored bytes are not what was stored
    │   └── BlobGone               1  503  a file was collected before its version was written: store it again
    ├── RateLimited                1  429  too much at once: come back later
    ├── Unavailable                1  503  another service cannot be reached
    └── EngineError                1  503  the engine or a training run failed

The numbers are the command line's exit code and the HTTP status. ``code`` is a stable word for programs; ``str(error)`` is
one sentence (or a list of problems, one a line) that says what to do.
"""

from collections.abc import Sequence
from typing import ClassVar


class LorarackError(Exception):
    """Base of all errors that lorarack raises on purpose."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class UsageError(LorarackError):
    """A wrong argument, option, recipe key or value."""

    exit_code = 2
    http_status = 400
    default_code = "usage"


class BadReference(UsageError):
    """A text that does not follow the grammar of references."""

    default_code = "bad_reference"


class NotFound(LorarackError):
    """No such adapter, version, alias, base, file or repository."""

    http_status = 404
    default_code = "not_found"

    def __init__(self, message: str, *, code: str | None = None, near: Sequence[str] = ()) -> None:
        super().__init__(message, code=code)
        self.near = tuple(near)


class Conflict(LorarackError):
    """The present state forbids the operation."""

    http_status = 409
    default_code = "conflict"


class NotServeable(Conflict):
    """This server cannot serve the version whole: another base, too large a rank, modules left out."""

    http_status = 422
    default_code = "not_serveable"


class InvalidArtifact(LorarackError):
    """A folder that is not an adapter lorarack can keep and vLLM can serve; ``problems`` lists everything at once."""

    http_status = 422
    default_code = "invalid_artifact"

    def __init__(
        self,
        problems: Sequence[str],
        *,
        subject: str = "This folder",
        purpose: str = "published",
        code: str | None = None,
    ) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            message = f"{subject} cannot be {purpose}: {self.problems[0]}"
        else:
            listed = "\n".join(f"  - {problem}" for problem in self.problems)
            message = f"{subject} cannot be {purpose}, for {len(self.problems)} reasons:\n{listed}"
        super().__init__(message, code=code)


class GateRefused(LorarackError):
    """A rule that guards a promotion or a comparison did not hold."""

    exit_code = 3
    http_status = 409
    default_code = "gate_refused"


class NotAllowed(LorarackError):
    """The credential is missing, wrong or has too few rights."""

    http_status = 403
    default_code = "not_allowed"


class StoreError(LorarackError):
    """The disk, the database or a lock on them failed."""

    http_status = 503
    default_code = "store"


class Damaged(StoreError):
    """Stored bytes do not have the digest under which they are stored."""

    http_status = 500
    default_code = "damaged"


class BlobGone(StoreError):
    """A stored file was removed, by ``gc``, before its version was written."""

    default_code = "collected"

    def __init__(self) -> None:
        super().__init__("Stored files are removed faster than they are put; run 'lorarack gc' with a longer grace.")


class RateLimited(LorarackError):
    """A limit on requests or tokens is reached; ``retry_after`` is in seconds."""

    http_status = 429
    default_code = "rate_limited"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(LorarackError):
    """A server or hub that cannot be reached or answers with an error of its own."""

    http_status = 503
    default_code = "unavailable"


class EngineError(LorarackError):
    """vLLM or a training run stopped with an error."""

    http_status = 503
    default_code = "engine"
