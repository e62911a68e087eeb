"""Keep the training libraries from talking over lorarack's own progress."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("transformers", "peft", "accelerate", "torch")

#: By the module that warns: their users can do nothing about how these libraries call each other.
_WARNERS = r"(transformers|peft|accelerate|torch)(\.|$)"


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Inside, transformers and friends log errors only, and show neither warnings nor progress bars.

    Whatever this changes in the process is put back afterwards. Warnings of anything else stay as they are.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    parallel = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warns whenever the process forks
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=_WARNERS)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if parallel is None:
            os.environ.pop("TOKENIZERS_PARALLELISM", None)
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = parallel
        if bars:
            transformers_logging.enable_progress_bar()
