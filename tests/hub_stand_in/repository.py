"""A repository as a list of commits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Files that Git LFS keeps, by the ending of their names; also everything larger than ``LARGE``.
LFS_ENDINGS = (".safetensors", ".bin", ".pt")
LARGE = 10 * 2**20


def is_large(path: str, size: int) -> bool:
    """Whether the Hub would keep the file in LFS."""
    return path.endswith(LFS_ENDINGS) or size > LARGE


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes and what the Hub says about them."""

    path: str
    data: bytes

    @property
    def lfs(self) -> bool:
        """Whether it is kept in LFS."""
        return is_large(self.path, len(self.data))

    @property
    def sha256(self) -> str:
        """Its name in LFS."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """Its name in Git, if Git keeps it."""
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def etag(self) -> str:
        """What downloads are cached under."""
        return self.sha256 if self.lfs else self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    """A whole tree and why it is as it is."""

    sha: str
    files: Mapping[str, File]
    message: str
    description: str = ""


@dataclass(slots=True)
class Repository:
    """A model repository. ``branches`` maps names to commits; ``main`` is there from the start."""

    repo_id: str
    private: bool = False
    gated: bool = False
    commits: list[Commit] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, "initial commit")

    @property
    def owner(self) -> str:
        """The account or organisation it belongs to."""
        return self.repo_id.partition("/")[0]

    @property
    def head(self) -> Commit:
        """The newest commit of ``main``."""
        found = self.find("main")
        assert found is not None
        return found

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch or a commit's name means."""
        sha = self.branches.get(revision, revision)
        return next((commit for commit in self.commits if commit.sha == sha), None)

    def commit(
        self, changes: Mapping[str, bytes | None], message: str, description: str = "", branch: str = "main"
    ) -> Commit:
        """Add a commit with some files written anew, or (None) removed."""
        before = self.find(branch)
        files = dict(before.files) if before else {}
        for path, data in changes.items():
            files.pop(path, None)
            if data is not None:
                files[path] = File(path, data)
        parent = before.sha if before else ""
        tree = ",".join(f"{path}={file.etag}" for path, file in sorted(files.items()))
        sha = hashlib.sha1(f"{self.repo_id}|{parent}|{message}|{tree}".encode()).hexdigest()
        made = Commit(sha, files, message, description)
        self.commits.append(made)
        self.branches[branch] = sha
        return made
