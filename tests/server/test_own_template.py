"""A version's own chat template is not applied, and that is said: once in the log, and in the list of models."""

import logging

import pytest
from tests.server.values import LIMITS, version

from lorarack.registry import StoredFile
from lorarack.server.caller import ANONYMOUS
from lorarack.server.exchange import Exchange
from lorarack.server.own_template import TemplateNotice, own_template
from lorarack.server.router import Route

BASE, OWN = "sha256:" + "b" * 64, "sha256:" + "a" * 64


def with_template(digest: str | None, number: int = 1) -> Exchange:
    files = (StoredFile(name="chat_template.jinja", digest=digest, bytes=1),) if digest else ()
    found = version(number, files=files)
    return Exchange(ANONYMOUS, "POST /x", Route(found.reference, found.reference, found.digest, found))


@pytest.mark.parametrize(
    ("its", "bases", "said"),
    [(None, BASE, None), (BASE, BASE, None), (OWN, BASE, OWN), (OWN, None, OWN), (None, None, None)],
)
def test_a_template_is_its_own_where_the_base_has_another(its: str | None, bases: str | None, said: str | None) -> None:
    route = with_template(its).route
    assert route is not None
    assert route.adapter is not None
    assert own_template(route.adapter, bases) == said


def test_it_is_said_once_of_each_version(caplog: pytest.LogCaptureFixture) -> None:
    observer = TemplateNotice(lambda: BASE).observer
    with caplog.at_level(logging.WARNING):
        for digest, number in ((OWN, 1), (OWN, 1), (BASE, 2), (None, 3), (OWN, 4)):
            observer.end(with_template(digest, number))
        observer.end(Exchange(ANONYMOUS, "POST /x"))
        observer.end(Exchange(ANONYMOUS, "POST /x", Route(LIMITS.base, LIMITS.base, LIMITS.fingerprint)))
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(" ")[0] for line in said] == ["support@1", "support@4"]
    assert all("is not applied" in line for line in said)
