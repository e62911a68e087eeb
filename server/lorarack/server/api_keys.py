"""The keys that clients send: an empty one would let everybody in without anybody noticing."""

from collections.abc import Mapping, Sequence

from lorarack.registry.errors import UsageError

#: vLLM's own variable, used where no flag is given.
VARIABLE = "VLLM_API_KEY"
_WAY_OUT = "give a key, or leave it out to serve without one"


def check_keys(given: Sequence[str] | None, environ: Mapping[str, str]) -> None:
    """Whether each key is one: of the flag, and of the variable also where the flag wins.

    Raises:
        UsageError: a key is empty or cannot be sent in a header as it is written.
    """
    for key in given or ():
        _check(key, "--api-key")
    if given is not None and not given:
        raise UsageError(f"--api-key is empty; {_WAY_OUT}.", code="bad_key")
    if VARIABLE in environ:
        _check(environ[VARIABLE], VARIABLE)


def _check(key: str, name: str) -> None:
    if not key.strip():
        raise UsageError(f"{name} is empty; {_WAY_OUT}.", code="bad_key")
    if key != key.strip() or not key.isprintable() or not key.isascii():
        raise UsageError(
            f"{name} has blanks around it or characters that no HTTP header carries, so no client could send it; {_WAY_OUT}.",
            code="bad_key",
        )
