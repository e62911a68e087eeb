"""An evaluation in a folder: what was answered is kept as it arrives, so that an interrupted evaluation continues.

``manifest.json`` says what was evaluated, ``answers.jsonl`` holds one answer a line, ``opinions.jsonl`` what a judge said of one,
``scores.jsonl`` one row a line with the scores of all versions, as ``lorarack compare --scores`` reads them.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from pydantic import ValidationError

from lorarack.adapters.data.rows import Rows
from lorarack.adapters.evaluation.answers import Evaluation, Reply, Subject
from lorarack.adapters.evaluation.judge import Opinion
from lorarack.adapters.evaluation.scores import Score
from lorarack.registry.errors import Conflict, StoreError
from lorarack.registry.value import Value

FORMAT = 1
_AnyLine = TypeVar("_AnyLine", bound=Value)


class Sampling(Value):
    """How answers are generated."""

    temperature: float = 0.0
    max_tokens: int


class EvaluationManifest(Value):
    """What a saved evaluation is of. Its answers fit another evaluation of the same rows, base and sampling."""

    format: int = FORMAT
    dataset: str  # digest of the rows
    dataset_name: str
    rows: int
    base: str  # fingerprint of the server's base
    sampling: Sampling
    score: str
    judge: str | None = None  # model and prompt of the judge, where one says the scores
    versions: Mapping[str, str | None]  # digest of each


class _Line(Value):
    """One line of ``answers.jsonl``."""

    row: int  # its place in the data, from 0 on
    digest: str | None  # of the version; None for the base
    reply: Reply


class _OpinionLine(Value):
    """One line of ``opinions.jsonl``."""

    judge: str
    key: str
    opinion: Opinion


class SavedEvaluation:
    """A folder that keeps the answers of an evaluation; open it with ``with``, one process at a time."""

    def __init__(self, folder: Path, manifest: EvaluationManifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._known: dict[tuple[str, str | None, int, bool], Reply] = {}
        self._opinions: dict[str, Opinion] = {}
        self._answers: IO[bytes]
        self._said: IO[bytes]

    def __enter__(self) -> Self:
        """Read what the folder holds.

        Raises:
            Conflict: it holds an evaluation of something else, or another process writes to it.
            StoreError: it cannot be read or written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._check_manifest()
            self._answers = (self._folder / "answers.jsonl").open("a+b")
            self._said = (self._folder / "opinions.jsonl").open("a+b")
        except OSError as error:
            raise StoreError(f"{self._folder} cannot hold an evaluation: {error.strerror or error}.") from error
        try:
            self._lock()
            self._read()
            self._write("manifest.json", self._manifest.model_dump_json(indent=1) + "\n")
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._answers.close()
        self._said.close()

    def known(self, subject: Subject, row: int, *, likelihood: bool) -> Reply | None:
        """The answer of an earlier run, if there is one."""
        return self._known.get((subject.model, subject.digest, row, likelihood))

    def count(self, subjects: Sequence[Subject], rows: Rows, score: Score) -> int:
        """How many answers of this evaluation are there."""
        return sum(
            self.known(subject, place, likelihood=score.likelihood) is not None
            for subject in subjects
            for place in range(0, len(rows), subject.stride)
        )

    @property
    def opinions(self) -> Mapping[str, Opinion]:
        """What this evaluation's judge has said, by the key of the pair; nothing of another judge."""
        return self._opinions

    def keep_opinion(self, key: str, opinion: Opinion) -> None:
        """Append the judge's replies.

        Raises:
            StoreError: the disk is full, or the like.
        """
        line = _OpinionLine(judge=self._manifest.judge or "", key=key, opinion=opinion)
        self._append(self._said, line)

    def keep(self, subject: Subject, row: int, reply: Reply) -> None:
        """Append an answer.

        Raises:
            StoreError: the disk is full, or the like.
        """
        line = _Line(row=row, digest=subject.digest, reply=reply.model_copy(update={"model": subject.model}))
        self._append(self._answers, line)

    def _append(self, file: IO[bytes], line: Value) -> None:
        try:
            file.write(line.model_dump_json().encode() + b"\n")
            file.flush()
        except OSError as error:
            raise StoreError(f"{self._folder} cannot hold an evaluation: {error.strerror or error}.") from error

    def finish(self, evaluation: Evaluation, rows: Rows, groups: Sequence[object] | None = None) -> Path:
        """Write ``scores.jsonl``: the rows with the scores of each version (not of the base).

        Returns:
            The file.

        Raises:
            StoreError: it cannot be written.
        """
        versions = [result for result in evaluation.results if result.subject.digest is not None]
        lines = []
        for place, row in enumerate(rows):
            record: dict[str, Any] = {"row": row.line or place + 1}
            if groups is not None and isinstance(groups[place], str | int | float):
                record["group"] = groups[place]
            record["scores"] = {
                result.subject.model: result.answers[place // result.subject.stride].score
                for result in versions
                if place % result.subject.stride == 0
            }
            lines.append(json.dumps(record, ensure_ascii=False))
        return self._write("scores.jsonl", "\n".join(lines) + "\n")

    def _check_manifest(self) -> None:
        path = self._folder / "manifest.json"
        if not path.exists():
            if (self._folder / "answers.jsonl").exists():
                raise Conflict(
                    f"{self._folder} holds answers but no manifest; give another folder.", code="other_evaluation"
                )
            return
        try:
            found = EvaluationManifest.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise Conflict(
                f"{path} is not the manifest of an evaluation of this format; give another folder.",
                code="other_evaluation",
            ) from error
        ours = self._manifest
        for what, one, other in (
            ("rows", found.dataset, ours.dataset),
            ("base", found.base, ours.base),
            ("sampling", found.sampling, ours.sampling),
            ("format", found.format, ours.format),
        ):
            if one != other:
                raise Conflict(
                    f"{self._folder} holds an evaluation with another {what} (of {found.dataset_name}); give another folder.",
                    code="other_evaluation",
                )

    def _lock(self) -> None:
        try:
            fcntl.flock(self._answers, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"Another process writes to {self._folder}; wait for it.", code="busy") from error

    def _read(self) -> None:
        """Index the answers and the judge's replies."""
        for line in self._lines(self._answers, _Line):
            self._known[line.reply.model, line.digest, line.row, line.reply.nll is not None] = line.reply
        for said in self._lines(self._said, _OpinionLine):
            if said.judge == self._manifest.judge:
                self._opinions[said.key] = said.opinion

    def _lines(self, file: IO[bytes], kind: type[_AnyLine]) -> Iterator[_AnyLine]:
        """The lines of a file; half a line at the end, of a process that was killed, is cut off."""
        file.seek(0)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        file.truncate(len(whole))
        for number, text in enumerate(whole.splitlines(), start=1):
            try:
                yield kind.model_validate_json(text)
            except ValidationError as error:
                raise StoreError(
                    f"{file.name}, line {number} is damaged; delete the line to ask that row again."
                ) from error

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        new = self._folder / f".{name}.new"
        try:
            new.write_text(text, encoding="utf-8", errors="backslashreplace")
            os.replace(new, path)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}.") from error
        return path
