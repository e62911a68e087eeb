"""An app that answers with what it was asked, and a client of an app."""

import httpx

from lorarack.server.http.asgi import App, Receive, Scope, Send


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with what it was asked, in three pieces."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    length = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
    assert int(length) == len(body), "content-length must fit the rewritten body"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    third = len(body) // 3
    for piece in (body[:third], body[third : 2 * third]):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": body[2 * third :]})


def client_of(app: App) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server")
