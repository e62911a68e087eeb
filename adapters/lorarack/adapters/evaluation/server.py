"""Which server an evaluation asks, and how."""

from dataclasses import dataclass, field

from lorarack.adapters.evaluation.client import ServerClient
from lorarack.registry.errors import UsageError


@dataclass(frozen=True, slots=True)
class EvaluationServer:
    """A running server, or one that is started and stopped.

    Attributes:
        url: of a running server over the same registry; None starts one.
        api_key: its key, if it wants one.
        serve_args: flags of ``lorarack serve`` for the server that is started.
        concurrency: requests in flight.
        max_tokens: where an answer is cut off.

    Raises:
        UsageError: flags for a server that is not started here.
    """

    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    serve_args: tuple[str, ...] = ()
    concurrency: int = 64
    max_tokens: int = 256

    def __post_init__(self) -> None:
        if self.url is not None and self.serve_args:
            raise UsageError("--serve-args is for a server that is started here; with --url leave it out.")

    def client(self) -> ServerClient:
        """A client of the running server; where there is none, one that can ask nothing."""
        return ServerClient(self.url or "", self.api_key, self.concurrency, self.max_tokens)
