"""One line in the log for each request that a model may answer."""

import logging

from lorarack.server.exchange import Exchange, Observer

log = logging.getLogger(__name__)


def log_request(exchange: Exchange) -> None:
    """What was asked, by whom, what answered, and how long it took. Never a key or a prompt."""
    route, usage = exchange.route, exchange.usage
    answered = f"{route.version} {route.digest[:19]}" if route else "-"
    first = f"{exchange.first_byte:.3f}" if exchange.first_byte is not None else "-"
    tokens = f"{usage.prompt}+{usage.completion}" if usage else "-"
    log.info(
        "%s by %s: %s, status %s, first byte %s s, %.3f s, tokens %s, id %s",
        exchange.request, exchange.caller.name, answered, exchange.status or "-", first, exchange.seconds or 0.0, tokens,
        exchange.id,
    )  # fmt: skip


REQUEST_LOG = Observer(end=log_request)
