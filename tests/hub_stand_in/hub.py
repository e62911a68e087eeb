"""The stand-in's memory: accounts, repositories, stored large files, and the log of what was asked."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from tests.hub_stand_in.messages import Answer, Exchange, Refusal, Request
from tests.hub_stand_in.repository import Commit, Repository


class Hub:
    """Everything that the routes read and write.

    Attributes:
        accounts: token to account name; an account may write to the repositories of its own name.
        readers: tokens that may read but not write.
        multipart_above: objects of more bytes are uploaded in parts of that size; None: never.
        before: called with every request first; may change the hub, or give an answer of its own.
        lock: held while a request is answered, so that each sees one state.
    """

    def __init__(self) -> None:
        self.url = self.storage_url = ""
        self.lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Forget everything but the address, for the next test."""
        self.accounts: dict[str, str] = {}
        self.readers: set[str] = set()
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.log: list[Exchange] = []
        self.multipart_above: int | None = None
        self.before: Callable[[Request], Answer | None] = lambda _: None

    def seed(self, repo_id: str, folder: Path, *, private: bool = False, gated: bool = False) -> Repository:
        """A repository with the files of ``folder``, as if somebody had pushed it; of a data set for ``datasets/ORG/NAME``."""
        repository = self.repositories[repo_id] = Repository(repo_id, private, gated)
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        repository.commit(files, "Upload folder")
        return repository

    def account(self, request: Request) -> str | None:
        """Who asks; nobody when no token was sent. A token that is not known is refused."""
        if request.token is None:
            return None
        if request.token not in self.accounts:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.accounts[request.token]

    def readable(self, request: Request, repo_id: str) -> Repository:
        """The repository, if the asker may see it: to all others it is not there."""
        account = self.account(request)
        repository = self.repositories.get(repo_id)
        if repository is None or (repository.private and account != repository.owner):
            raise Refusal(404 if account else 401, "Repository not found", "RepoNotFound")
        return repository

    def open_to(self, request: Request, repo_id: str) -> Repository:
        """The repository, if the asker may download from it."""
        repository = self.readable(request, repo_id)
        if repository.gated and self.account(request) != repository.owner:
            message = f"Access to model {repo_id} is restricted and you are not in the authorized list."
            raise Refusal(403 if request.token else 401, message, "GatedRepo")
        return repository

    def writable(self, request: Request, repo_id: str) -> Repository:
        """The repository, if the asker may write to it."""
        repository = self.readable(request, repo_id)
        self.check_writer(request, repository.owner)
        return repository

    def check_writer(self, request: Request, owner: str) -> None:
        """Refuse those who may not write under ``owner``'s name."""
        account = self.account(request)
        if account is None:
            raise Refusal(401, "Invalid username or password.")
        if request.token in self.readers:
            raise Refusal(403, "Forbidden: you must use a write token to upload to a repository.")
        if account != owner:
            raise Refusal(403, f"You don't have the rights to write under the namespace {owner!r}")

    def commit_of(self, repository: Repository, revision: str) -> Commit:
        """The commit that ``revision`` means."""
        commit = repository.find(revision)
        if commit is None:
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def sent(self, path_part: str) -> int:
        """How many bytes went out for paths with ``path_part`` in them."""
        return sum(exchange.sent_bytes for exchange in self.log if path_part in exchange.path)
