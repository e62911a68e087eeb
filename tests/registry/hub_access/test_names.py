"""Names of repositories."""

import pytest

from lorarack.registry.errors import UsageError
from lorarack.registry.hub_access.names import parse_repository


@pytest.mark.parametrize(
    ("text", "repo_id", "revision"),
    [
        ("acme/orders", "acme/orders", None),
        ("Acme-1/or_ders.v2", "Acme-1/or_ders.v2", None),
        ("acme/orders@main", "acme/orders", "main"),
        ("acme/orders@refs/pr/1", "acme/orders", "refs/pr/1"),
        (
            "acme/orders@0123456789abcdef0123456789abcdef01234567",
            "acme/orders",
            "0123456789abcdef0123456789abcdef01234567",
        ),
    ],
)
def test_a_name_is_read(text: str, repo_id: str, revision: str | None) -> None:
    name = parse_repository(text)
    assert (name.repo_id, name.revision, str(name)) == (repo_id, revision, text)


@pytest.mark.parametrize(
    "text",
    ["", "orders", "acme/", "/orders", "a/b/c", "../orders", "acme/..", "acme/or ders", "acme/orders@", "acme/orders@../x",
     "acme/orders@-x", "acme/orders\n", "https://example.org/acme/orders", "~/orders", "acme/örders"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="ORG/REPO"):
        parse_repository(text)
