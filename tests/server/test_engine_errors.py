"""The first cause of a failure, in one line, wherever it happened."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from lorarack.registry.errors import EngineError
from lorarack.server.engine_errors import FirstErrorHandler, error_line, first_error
from lorarack.server.settings import ServingSettings


def log_failure(folder: Path, error: Exception) -> None:
    logger = logging.Logger("engine")
    logger.addHandler(FirstErrorHandler(str(folder)))
    try:
        raise error
    except Exception:
        logger.exception("EngineCore failed to start.")
        logger.error("and so on")


def test_the_earliest_exception_of_all_processes_is_the_cause(tmp_path: Path) -> None:
    log_failure(tmp_path, ValueError("No available memory for the cache blocks.\nTry this."))
    for note in tmp_path.glob("*.txt"):
        note.rename(tmp_path / f"0000000001.000000-{note.name.rpartition('-')[2]}")
    log_failure(tmp_path, RuntimeError("Engine core initialization failed."))
    assert first_error(tmp_path) == "ValueError: No available memory for the cache blocks."


def test_no_fault_is_none(tmp_path: Path) -> None:
    assert first_error(tmp_path) is None


def test_sentences_name_the_type_only_where_it_says_more() -> None:
    assert error_line(EngineError("It stopped.")) == "It stopped."
    assert error_line(KeyError()) == "KeyError"
    with pytest.raises(ValidationError) as refused:
        ServingSettings.model_validate({"registry": 7})
    assert error_line(refused.value) == "Input should be a valid string"
    assert error_line(OSError("\n\n first \n second")) == "OSError: first"
