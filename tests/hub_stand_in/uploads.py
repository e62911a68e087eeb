"""Large files on their way in: the Git LFS batch protocol, with the Hub's multipart transfer."""

import hashlib

from tests.hub_stand_in.hub import Hub
from tests.hub_stand_in.messages import Answer, Refusal, Request, as_json


def batch(hub: Hub, request: Request, repo_id: str) -> Answer:
    """``POST /ID.git/info/lfs/objects/batch``: where each object is to go; nowhere when it is there already."""
    hub.writable(request, repo_id)
    objects = [_instructions(hub, asked["oid"], asked["size"]) for asked in request.json()["objects"]]
    return as_json({"transfer": "multipart" if hub.multipart_above else "basic", "objects": objects})


def put(hub: Hub, request: Request, oid: str) -> Answer:
    """``PUT /stored/OID``: an object whole. The address itself is the permission, as with signed addresses."""
    _keep(hub, oid, request.body)
    return Answer()


def put_part(hub: Hub, request: Request, oid: str, number: str) -> Answer:
    """``PUT /stored/OID/parts/N``."""
    hub.parts.setdefault(oid, {})[int(number)] = request.body
    return Answer(headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def complete(hub: Hub, request: Request, oid: str) -> Answer:
    """``POST /stored/OID/complete``: the parts, in the order that the client names, become the object."""
    parts = hub.parts.pop(oid)
    _keep(hub, oid, b"".join(parts[part["partNumber"]] for part in request.json()["parts"]))
    return as_json({"success": True})


def verify(hub: Hub, request: Request, repo_id: str) -> Answer:
    """``POST /ID.git/info/lfs/verify``."""
    hub.writable(request, repo_id)
    asked = request.json()
    if len(hub.objects.get(asked["oid"], b"")) != asked["size"]:
        raise Refusal(404, "The object is not there whole.")
    return as_json({})


def _instructions(hub: Hub, oid: str, size: int) -> dict[str, object]:
    if oid in hub.objects:
        return {"oid": oid, "size": size}
    stored, part_bytes = f"{hub.storage_url}/stored/{oid}", hub.multipart_above
    if part_bytes is None or size <= part_bytes:
        return {"oid": oid, "size": size, "actions": {"upload": {"href": stored}}}
    count = -(-size // part_bytes)
    header = {str(number): f"{stored}/parts/{number}" for number in range(1, count + 1)}
    header["chunk_size"] = str(part_bytes)
    return {"oid": oid, "size": size, "actions": {"upload": {"href": f"{stored}/complete", "header": header}}}


def _keep(hub: Hub, oid: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != oid:
        raise Refusal(400, "The bytes are not those of the object.")
    hub.objects[oid] = data
