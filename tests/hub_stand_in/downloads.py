"""Files on their way out: HEAD, GET and byte ranges; large files through a redirect to where they are stored."""

import re

from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Refusal, Request
from tests.hub_stand_in.repository import File

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def resolve(hub: Hub, request: Request, repo_id: str, revision: str, path: str) -> Answer:
    """``HEAD`` and ``GET /ID/resolve/REV/PATH``."""
    commit = hub.commit_of(hub.open_to(request, repo_id), revision)
    file = commit.files.get(path)
    headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
    if file is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    headers["ETag"] = f'"{file.etag}"'
    if file.lfs:
        headers |= {
            "X-Linked-Size": str(len(file.data)),
            "X-Linked-Etag": f'"{file.sha256}"',
            "Location": f"{hub.storage_url}/stored/{repo_id}/{commit.sha}/{path}",
        }
        return Answer(status=302, headers=headers)
    return _content(request, file, headers)


def stored(hub: Hub, request: Request, repo_id: str, sha: str, path: str) -> Answer:
    """``HEAD`` and ``GET /stored/ID/SHA/PATH``: a large file's bytes. The address is the permission."""
    file = hub.commit_of(hub.repositories[repo_id], sha).files[path]
    return _content(request, file, {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"})


def _content(request: Request, file: File, headers: dict[str, str]) -> Answer:
    if request.method == "HEAD":
        return Answer(headers=headers, length=len(file.data))
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None:
        return Answer(file.data, headers=headers)
    start = int(asked[1])
    end = min(int(asked[2] or len(file.data)), len(file.data) - 1)
    if start >= len(file.data):
        raise Refusal(416, "The range is behind the end.")
    headers["Content-Range"] = f"bytes {start}-{end}/{len(file.data)}"
    return Answer(file.data[start : end + 1], 206, headers)
