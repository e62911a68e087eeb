"""Tokenizer files beside an adapter: ignored where every token that can reach the model is the base's own.

A server tokenizes with the base's tokenizer. So a token more than the base has matters only where a prompt can hold it:
padding never reaches the model, a token that the chat template writes always does.
"""

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any

from lorarack.registry.artifact.base_weights import BaseContents
from lorarack.registry.artifact.folder import Folder
from lorarack.registry.artifact.manifest import CHAT_TEMPLATE, sha256
from lorarack.registry.artifact.other_formats import other_kind
from lorarack.registry.errors import LorarackError
from lorarack.registry.texts import check_size, listed
from lorarack.registry.values import Base

_REMOVE = "remove the tokenizer files, the base's own are used"
_MERGE = (
    "train with the base's own tokenizer, or merge the adapter into its model and add that with 'lorarack base add'"
)
_OTHER_TOKENS = "its tokenizer has other tokens than base {!r}; adapters that add tokens cannot be served"

Tokens = Mapping[str, int]

#: The files of a folder that name tokens.
TOKENIZER_FILES = frozenset({"tokenizer.json", "tokenizer_config.json", "added_tokens.json"})


def vocabulary_digest(tokenizer_json: bytes) -> str | None:
    """Digest of the token table (token to id, added tokens included) of a ``tokenizer.json``; None when it has no token table.

    Formatting, normalisers and templates do not matter: only which id each token has.
    """
    return _digest(token_table(tokenizer_json))


def token_table(tokenizer_json: bytes) -> dict[str, int]:
    """The token table of a ``tokenizer.json``; empty where there is none that can be read."""
    return _table(_parsed(tokenizer_json))


def tokenizer_findings(folder: Folder, base: Base, contents: BaseContents) -> tuple[list[str], list[str]]:
    """Problems with the folder's tokenizer, and notes about one that can be ignored."""
    raw = folder.read("tokenizer.json")
    tokenizer = _parsed(raw) if raw is not None else None
    if raw is not None and not _table(tokenizer):
        other = other_kind(raw)
        return [f"its tokenizer.json {other or 'cannot be read'}; {'or ' if other else ''}{_REMOVE}"], []
    found = _Found(folder, tokenizer)
    if not found.tokens or (raw is not None and base.vocabulary is None):
        return [], []
    if base.vocabulary in (_digest(found.tokens), found.with_vocabulary(folder)):
        return [], []
    new = found.padding & found.tokens.keys()
    if raw is not None and new and _digest(_without(found.tokens, new)) == base.vocabulary:
        return _judged(base, found, sorted(new))
    try:
        own = contents.tokens()
    except LorarackError as error:
        return _unknown(base, found, error.message.rstrip("."))
    return _compared(base, found, own)


def _compared(base: Base, found: "_Found", own: Tokens) -> tuple[list[str], list[str]]:
    begin = _OTHER_TOKENS.format(base.name)
    ids = {number: token for token, number in own.items()}
    new = sorted(token for token, number in found.tokens.items() if token not in own and number not in ids)
    moved = sorted(token for token, number in found.tokens.items() if token not in new and own.get(token) != number)
    if moved:
        return [f"{begin}: {listed(moved)} has another id there; train with the base's own tokenizer"], []
    if found.whole and not own.keys() <= found.tokens.keys():
        return [
            f"{begin}: it lacks some of the base's; train with the base's own tokenizer, or, if it was, {_REMOVE}"
        ], []
    return _judged(base, found, new)


def _judged(base: Base, found: "_Found", new: list[str]) -> tuple[list[str], list[str]]:
    """What tokens mean that the base has not."""
    begin = _OTHER_TOKENS.format(base.name)
    written = [token for token in new if found.writes(token)]
    if written:
        return [
            f"{begin}: {listed(written)} is new and put into prompts by its chat template or tokenizer; {_MERGE}"
        ], []
    others = [token for token in new if token not in found.padding]
    if others:
        return [f"{begin}: {listed(others)} is new; where no training row holds it, {_REMOVE}; else {_MERGE}"], []
    if not new:
        return [], []
    return [], [
        f"Its tokenizer has the padding token {listed(new)} more than base {base.name!r}. Padding never reaches the model, so the "
        "base's own tokenizer serves it."
    ]


def _unknown(base: Base, found: "_Found", why: str) -> tuple[list[str], list[str]]:
    if found.whole:
        begin = _OTHER_TOKENS.format(base.name)
        return [f"{begin}, so train with the base's own tokenizer (which tokens cannot be told: {why})"], []
    if not found.listed:
        return [], []
    return [
        f"it has added_tokens.json, and whether its tokens are those of base {base.name!r} cannot be told ({why}); make the base's "
        f"files reachable, or, where the base's own tokenizer was used, {_REMOVE}"
    ], []


def _without(tokens: Tokens, some: Container[str]) -> Tokens:
    return {token: number for token, number in tokens.items() if token not in some}


class _Found:
    """The tokens in a folder, and what they are for."""

    def __init__(self, folder: Folder, tokenizer: Any) -> None:
        config, specials = (_object(folder.read(name)) for name in ("tokenizer_config.json", "special_tokens_map.json"))
        self.whole = tokenizer is not None
        self.listed = _numbers(_object(folder.read("added_tokens.json")))
        self.tokens: dict[str, int] = _table(tokenizer) | self.listed | _decoder(config)
        self.padding, self._others = _roles(config, specials, _padding(tokenizer))
        processor = tokenizer.get("post_processor") if isinstance(tokenizer, dict) else None
        template = (folder.read(CHAT_TEMPLATE) or b"").decode(errors="replace")
        self._written = "\n".join((template, *_texts(config.get("chat_template")), *_texts(processor)))

    def with_vocabulary(self, folder: Folder) -> str | None:
        """The digest with ``vocab.json``, where it stands in place of a ``tokenizer.json``."""
        return None if self.whole else _digest(_numbers(_object(folder.read("vocab.json"))) | self.tokens)

    def writes(self, token: str) -> bool:
        """Whether ``token`` is put into prompts: by the chat template, by the tokenizer, or as the begin or end of a text."""
        return (
            token in self._others or token in self._written or (token in self.padding and "pad_token" in self._written)
        )


def _padding(tokenizer: Any) -> dict[str, Any]:
    """What ``tokenizer.json`` itself pads with."""
    padding = tokenizer.get("padding") if isinstance(tokenizer, dict) else None
    return {"pad_token": padding.get("pad_token")} if isinstance(padding, dict) else {}


def _roles(*settings: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """The padding tokens, and those of all other roles."""
    padding, others = set[str](), set[str]()
    for data in settings:
        for key, value in data.items():
            token = value.get("content") if isinstance(value, dict) else value
            if key.endswith("_token") and isinstance(token, str):
                (padding if key == "pad_token" else others).add(token)
    return frozenset(padding), frozenset(others)


def _decoder(config: Mapping[str, Any]) -> dict[str, int]:
    """The added tokens that ``tokenizer_config.json`` lists by id."""
    decoder = config.get("added_tokens_decoder")
    return {
        token["content"]: int(number)
        for number, token in (decoder.items() if isinstance(decoder, dict) else ())
        if isinstance(token, dict) and isinstance(token.get("content"), str) and re.fullmatch("[0-9]{1,12}", number)
    }


def _numbers(data: Mapping[str, Any]) -> dict[str, int]:
    return {token: number for token, number in data.items() if type(number) is int}


def _texts(value: Any) -> Iterator[str]:
    """All texts inside ``value``."""
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner


def _object(raw: bytes | None) -> dict[str, Any]:
    data = _parsed(raw) if raw is not None else None
    return data if isinstance(data, dict) else {}


def _parsed(raw: bytes) -> Any:
    try:
        check_size(raw)
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _digest(table: Tokens) -> str | None:
    return sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode()) if table else None


def _table(data: Any) -> dict[str, int]:
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
