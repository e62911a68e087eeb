"""Repositories: make, describe, list, commit."""

import base64
import json
from typing import Any

import yaml
from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Refusal, Request, as_json
from tests.hub_stand_in.repository import Commit, File, Repository, is_large

_POINTER_BYTES = 134


def whoami(hub: Hub, request: Request) -> Answer:
    """``GET /api/whoami-v2``."""
    account = hub.account(request)
    if account is None:
        raise Refusal(401, "Invalid username or password.")
    return as_json({"type": "user", "name": account, "orgs": [], "auth": {"type": "access_token"}})


def create(hub: Hub, request: Request) -> Answer:
    """``POST /api/repos/create``."""
    asked = request.json()
    owner: str = asked["organization"]
    hub.check_writer(request, owner)
    repo_id = f"{owner}/{asked['name']}"
    if repo_id in hub.repositories:
        return as_json({"error": "You already created this model repo", "url": f"{hub.url}/{repo_id}"}, 409)
    hub.repositories[repo_id] = Repository(repo_id, private=asked.get("visibility") == "private")
    return as_json({"url": f"{hub.url}/{repo_id}", "name": repo_id})


def validate_yaml(_: Hub, request: Request) -> Answer:
    """``POST /api/validate-yaml``: the front matter of a card, as far as the Hub is strict about it."""
    parts = request.json()["content"].split("---\n", 2)
    errors = []
    try:
        data = yaml.safe_load(parts[1]) if len(parts) == 3 else {}
    except yaml.YAMLError as error:
        data, errors = {}, [{"message": f"YAML: {error}"}]
    base = data.get("base_model")
    if base is not None and (not isinstance(base, str) or base.count("/") != 1 or base.startswith(("/", "."))):
        errors.append({"message": '"base_model" is not valid. Use a model id.'})
    return as_json({"errors": errors, "warnings": []}, 400 if errors else 200)


def info(hub: Hub, request: Request, repo_id: str, revision: str = "main") -> Answer:
    """``GET /api/models/ID`` and ``…/revision/REV``; also of data sets."""
    repository = hub.readable(request, repo_id)
    commit = hub.commit_of(repository, revision)
    siblings: list[dict[str, Any]] = [{"rfilename": path} for path in sorted(commit.files)]
    if "blobs=" in request.query:
        for sibling in siblings:
            file = commit.files[sibling["rfilename"]]
            sibling |= {"size": len(file.data), "blobId": file.oid}
            if file.lfs:
                sibling["lfs"] = {"size": len(file.data), "sha256": file.sha256, "pointerSize": _POINTER_BYTES}
    gated = "manual" if repository.gated else False
    described = {
        "id": repo_id.removeprefix("datasets/"),
        "sha": commit.sha,
        "private": repository.private,
        "gated": gated,
        "siblings": siblings,
    }
    return as_json(described)


def tree(hub: Hub, request: Request, repo_id: str, revision: str, folder: str = "") -> Answer:
    """``GET /api/models/ID/tree/REV[/FOLDER]``."""
    commit = hub.commit_of(hub.open_to(request, repo_id), revision)
    prefix = f"{folder}/" if folder else ""
    recursive = "recursive=true" in request.query.lower()
    inside = [file for path, file in sorted(commit.files.items()) if path.startswith(prefix)]
    return as_json([_entry(file) for file in inside if recursive or "/" not in file.path.removeprefix(prefix)])


def paths_info(hub: Hub, request: Request, repo_id: str, revision: str) -> Answer:
    """``POST /api/models/ID/paths-info/REV``."""
    commit = hub.commit_of(hub.open_to(request, repo_id), revision)
    wanted = request.form()["paths"]
    return as_json([_entry(commit.files[path]) for path in wanted if path in commit.files])


def preupload(hub: Hub, request: Request, repo_id: str, revision: str) -> Answer:
    """``POST /api/models/ID/preupload/REV``: how each file is to come, and what is there already."""
    commit = hub.commit_of(hub.writable(request, repo_id), revision)
    answers = []
    for asked in request.json()["files"]:
        there = commit.files.get(asked["path"])
        mode = "lfs" if is_large(asked["path"], asked["size"]) else "regular"
        oid = there.etag if there else None
        answers.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return as_json({"files": answers})


def commit(hub: Hub, request: Request, repo_id: str, revision: str) -> Answer:
    """``POST /api/models/ID/commit/REV``: lines of JSON, first the header, then one a file."""
    repository = hub.writable(request, repo_id)
    header: dict[str, str] = {}
    changes: dict[str, bytes | None] = {}
    for line in map(json.loads, request.body.splitlines()):
        value = line["value"]
        match line["key"]:
            case "header":
                header = value
            case "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                if value["oid"] not in hub.objects:
                    raise Refusal(400, f"The object {value['oid']} was not uploaded.")
                changes[value["path"]] = hub.objects[value["oid"]]
            case "deletedFile":
                changes[value["path"]] = None
            case other:
                raise Refusal(400, f"Unknown operation {other}.")
    made: Commit = repository.commit(changes, header["summary"], header.get("description", ""), revision)
    return as_json({"commitUrl": f"{hub.url}/{repo_id}/commit/{made.sha}", "commitOid": made.sha})


def _entry(file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file.path, "size": len(file.data), "oid": file.oid}
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": len(file.data), "pointerSize": _POINTER_BYTES}
    return entry
