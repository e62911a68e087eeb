"""Keep the training libraries from talking over lorarack's own progress."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("transformers", "trl", "peft", "accelerate", "datasets", "huggingface_hub", "torch")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Inside, transformers, TRL and friends log errors only, show no progress bars and never ask the Hub for anything.

    Whatever this changes in the process is put back afterwards.
    """
    kept = {name: logging.getLogger(name).level for name in _LOGGERS}
    variables = {"TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    from datasets.utils import logging as datasets_logging
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    had_bars = datasets_logging.is_progress_bar_enabled()
    datasets_logging.disable_progress_bar()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in kept.items():
            logging.getLogger(name).setLevel(level)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        if bars:
            transformers_logging.enable_progress_bar()
        if had_bars:
            datasets_logging.enable_progress_bar()
