"""The files of a base that is known here, read again for a check of an adapter."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from lorarack.registry.artifact.base_weights import CHUNK, Stored
from lorarack.registry.artifact.limits import MAX_TOKENIZER_BYTES
from lorarack.registry.artifact.module_names import loaded_name
from lorarack.registry.artifact.tokenizer import token_table, vocabulary_digest
from lorarack.registry.artifact.weights import DTYPE_BYTES, HeaderError, Tensor, read_header
from lorarack.registry.base_model.files import BaseFiles
from lorarack.registry.base_model.weights import weight_files
from lorarack.registry.errors import LorarackError, NotFound
from lorarack.registry.values import Base

_EMBEDDING = "embed_tokens.weight"


@dataclass(frozen=True)
class KnownBase:
    """Implements ``BaseContents``; ``find_files`` is asked for the base's files when they are needed first."""

    base: Base
    find_files: Callable[[Base], BaseFiles]

    @cached_property
    def _files(self) -> BaseFiles:
        return self.find_files(self.base)

    def tokens(self) -> Mapping[str, int]:
        """The base's token table.

        Raises:
            NotFound: its files are gone, or hold another tokenizer. Unavailable, NotAllowed: as the Hub says.
        """
        files = self._files
        if "tokenizer.json" not in files.names() or files.size("tokenizer.json") > MAX_TOKENIZER_BYTES:
            raise NotFound("it has no tokenizer.json", code="no_tokenizer")
        with files.open("tokenizer.json") as file:
            raw = file.read()
        if vocabulary_digest(raw) != self.base.vocabulary:
            raise NotFound("its tokenizer.json has changed since it was added", code="base_changed")
        return token_table(raw)

    @contextmanager
    def weight(self, module: str) -> Iterator[Stored]:
        """The weight of ``module``; that of the embedding where the head is tied to it.

        Raises:
            NotFound: its files are gone, or hold no such weight. Unavailable, NotAllowed: as the Hub says.
        """
        files = self._files
        with ExitStack() as opened:
            tensors: dict[str, tuple[Tensor, BinaryIO]] = {}
            for name in weight_files(files, set(files.names()), f"The base model {self.base.name!r}"):
                file = opened.enter_context(files.open(name))
                try:
                    for tensor in read_header(file, files.size(name)):
                        stored = tensor.name.removesuffix(".weight")
                        today = loaded_name(stored, self.base.architecture)
                        tensors[today + tensor.name[len(stored) :]] = (tensor, file)
                except HeaderError as error:
                    raise NotFound(f"its {name} cannot be read: {error}", code="base_changed") from error
            module = loaded_name(module, self.base.architecture)
            found = tensors.get(f"{module}.weight")
            if found is None and module.rpartition(".")[2] == "lm_head":
                found = next((tensors[name] for name in tensors if name.endswith(_EMBEDDING)), None)
            if found is None:
                raise NotFound(f"it has no {module}.weight", code="base_changed")
            yield found[0], _pieces(*found)


def _pieces(tensor: Tensor, file: BinaryIO) -> Iterator[bytes]:
    width = DTYPE_BYTES[tensor.dtype]
    for start in range(tensor.start, tensor.end, CHUNK * width):
        file.seek(start)
        count = min(CHUNK * width, tensor.end - start)
        data = bytearray()
        while len(data) < count and (piece := file.read(count - len(data))):
            data += piece
        if len(data) < count:
            raise LorarackError("its weight file is cut short")
        yield bytes(data)
