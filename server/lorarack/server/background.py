"""Work that goes on beside the requests for as long as the server lives, whatever goes wrong in one round of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lorarack.registry.errors import LorarackError

log = logging.getLogger(__name__)

#: The longest pause after failures in a row.
LONGEST_PAUSE = 5.0


async def repeat(fault: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Await ``step`` every ``seconds``, for ever.

    A failure is logged once as ``fault`` and its reason, however often it comes again in a row (what nobody foresaw with its
    traceback); pauses grow meanwhile. Only cancelling ends it.
    """
    said: str | None = None
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        try:
            await step()
        except Exception as error:
            message = error.message if isinstance(error, LorarackError) else f"{type(error).__name__}: {error}"
            if message != said:
                unforeseen = not isinstance(error, LorarackError)
                log.warning("%s: %s", fault, message, exc_info=unforeseen)
            said = message
            pause = min(max(pause * 2, seconds), max(LONGEST_PAUSE, seconds))
        else:
            if said is not None:
                log.info("That is over: %s.", fault)
            said, pause = None, seconds
