"""Tokenizer files beside an adapter: fine when they are the base's, refused when they add or move tokens."""

import json
from typing import Any

from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.manifest import sha256
from lorarack.registry.artifact.strict_json import check_size
from lorarack.registry.values import Base


def vocabulary_digest(tokenizer_json: bytes) -> str | None:
    """Digest of the token table (token to id, added tokens included) of a ``tokenizer.json``; None when it has none.

    Formatting, normalisers and templates do not matter: only which id each token has.
    """
    try:
        check_size(tokenizer_json)
        data = json.loads(tokenizer_json)
    except (ValueError, RecursionError):
        return None
    table = _token_table(data)
    if not table:
        return None
    return sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())


def tokenizer_problems(folder: Folder, base: Base) -> list[str]:
    """Why the folder's tokenizer cannot be passed over, if so."""
    raw = folder.read("tokenizer.json")
    if raw is not None:
        found = vocabulary_digest(raw)
        if found is None:
            return ["its tokenizer.json cannot be read; remove the tokenizer files, the base's own are used"]
        if base.vocabulary is not None and found != base.vocabulary:
            return [
                f"its tokenizer has other tokens than base {base.name!r}; adapters that add tokens cannot be served, "
                "so train with the base's own tokenizer"
            ]
        return []
    added = folder.read("added_tokens.json")
    if added is not None and added.strip() not in (b"", b"{}"):
        return [
            "it has added_tokens.json, and adapters that add tokens cannot be served; train with the base's own tokenizer"
        ]
    return []


def _token_table(data: Any) -> dict[str, int]:
    table: dict[Any, Any]
    match data:
        case {"model": {"vocab": dict(vocab)}}:
            table = dict(vocab)
        case {"model": {"vocab": list(pieces)}}:  # unigram models list [piece, score]
            table = {_first(piece): index for index, piece in enumerate(pieces)}
        case _:
            return {}
    added = data.get("added_tokens")
    for token in added if isinstance(added, list) else ():
        match token:
            case {"content": str(content), "id": int(number)}:
                table[content] = number
    whole = all(isinstance(token, str) and type(number) is int for token, number in table.items())
    return table if whole else {}


def _first(piece: Any) -> Any:
    return piece[0] if isinstance(piece, list) and piece and isinstance(piece[0], str) else None
