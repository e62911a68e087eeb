"""Bad input to serving and asking, as far as it is found before vLLM starts (tests/starts/test_start.py has the rest)."""

import atexit
import socket

from tests.bad_input.world import Case, World, command

_listener = socket.socket()
atexit.register(_listener.close)


def take_a_port(_: World) -> None:
    """Listen somewhere until the tests end."""
    if _listener.getsockname()[1] == 0:
        _listener.bind(("127.0.0.1", 0))
        _listener.listen()


def serve_there(_: World) -> list[object]:
    return ["serve", "tiny", "--port", _listener.getsockname()[1]]


CASES = [
    Case("serving on a taken port", serve_there, "is taken; stop what listens there", prepare=take_a_port),
    Case("serving an unknown base", command("serve", "nosuch"), "known: 'tiny'"),
    Case(
        "serving on a foreign address", command("serve", "tiny", "--host", "203.0.113.7"), "Nothing can listen", code=2
    ),
    Case("asking nobody", command("ask", "support", "hi", "--url", "http://127.0.0.1:9"), "No server answers"),
    Case("asking at no address", command("ask", "support", "hi", "--url", "nowhere"), "is not an address", code=2),
    Case(
        "asking raw with a system message", command("ask", "support", "hi", "--raw", "--system", "x"), "--raw", code=2
    ),
]
