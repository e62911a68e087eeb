"""Checks of API keys. An empty key would let everybody in."""

from collections.abc import Mapping, Sequence

from lorarack.registry.errors import UsageError

#: vLLM's own variable, used where no flag is given.
VARIABLE = "VLLM_API_KEY"
_REMEDY = "give a key, or leave it out to serve without one"


def check_keys(given: Sequence[str] | None, environ: Mapping[str, str]) -> None:
    """Check the keys of the flag, and that of the variable, also where the flag wins.

    Raises:
        UsageError: a key is empty or cannot be sent in a header as it is written.
    """
    for key in given or ():
        _check(key, "--api-key")
    if given is not None and not given:
        raise UsageError(f"--api-key is empty; {_REMEDY}.", code="bad_key")
    if VARIABLE in environ:
        _check(environ[VARIABLE], VARIABLE)


def _check(key: str, name: str) -> None:
    if not key.strip():
        raise UsageError(f"{name} is empty; {_REMEDY}.", code="bad_key")
    if key != key.strip() or not key.isprintable() or not key.isascii():
        raise UsageError(
            f"{name} has blanks around it or characters that no HTTP header carries, so no client could send it; {_REMEDY}.",
            code="bad_key",
        )
