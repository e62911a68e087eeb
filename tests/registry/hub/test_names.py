"""Names of repositories."""

import pytest

from lorarack.registry.errors import UsageError
from lorarack.registry.hub.names import check_subfolder, parse_repository, whole_repository


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


ADDRESSES = {
    "https://huggingface.co/acme/orders": ("acme/orders", None, None),
    "http://huggingface.co/acme/orders/": ("acme/orders", None, None),
    "huggingface.co/acme/orders": ("acme/orders", None, None),
    "https://hf.co/acme/orders": ("acme/orders", None, None),
    "https://huggingface.co/acme/orders/tree/main": ("acme/orders", "main", None),
    "https://huggingface.co/acme/orders/tree/main/checkpoint-200": ("acme/orders", "main", "checkpoint-200"),
    "https://huggingface.co/acme/orders/tree/main/runs/a%20b?x=1#files": ("acme/orders", "main", "runs/a b"),
    "https://huggingface.co/acme/orders/tree/refs%2Fpr%2F1/sub": ("acme/orders", "refs/pr/1", "sub"),
    "https://huggingface.co/acme/orders/blob/main/adapter_config.json": ("acme/orders", "main", None),
    "https://huggingface.co/acme/orders/blob/v1/sub/adapter_config.json": ("acme/orders", "v1", "sub"),
    "https://huggingface.co/acme/orders/resolve/main/adapter_model.safetensors?download=true": (
        "acme/orders",
        "main",
        None,
    ),
    "https://huggingface.co/acme/orders/commit/0123abc": ("acme/orders", "0123abc", None),
    "https://huggingface.co/acme/orders/discussions/3": ("acme/orders", None, None),
    "https://huggingface.co/models/acme/orders": ("acme/orders", None, None),
    " https://huggingface.co/acme/orders ": ("acme/orders", None, None),
    "hf://acme/orders": ("acme/orders", None, None),
    "hf://acme/orders@v1/sub/deep": ("acme/orders", "v1", "sub/deep"),
    "hf://acme/orders@refs%2Fpr%2F1": ("acme/orders", "refs/pr/1", None),
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_an_address_from_a_browser_is_read(text: str, expected: tuple[str, str | None, str | None]) -> None:
    name = parse_repository(text)
    assert (name.repo_id, name.revision, name.subfolder) == expected


def test_the_address_of_a_hub_of_ones_own_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.local:8080")
    assert parse_repository("http://hub.local:8080/acme/orders/tree/main").repo_id == "acme/orders"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://huggingface.co/datasets/acme/rows", "the address of a data set, not of a model"),
        ("https://huggingface.co/spaces/acme/demo", "the address of a space, not of a model"),
        ("https://huggingface.co/acme", "names no repository"),
        ("https://huggingface.co/", "names no repository"),
        ("https://github.com/acme/orders", "is not an address of the Hub at"),
        ("https://huggingface.co.evil.org/acme/orders", "is not an address of the Hub at"),
        ("https://[", "is not an address of the Hub at"),
        ("hf://acme", "names no repository"),
        ("https://huggingface.co/acme/orders/tree/main/..%2F..", "is no folder in a repository"),
        ("https://huggingface.co/acme/orders/tree/main/a/../b", "is no folder in a repository"),
        ("https://huggingface.co/acme/orders/tree/..%2Fx", "names no repository"),
    ],
)
def test_any_other_address_is_refused_for_what_it_is(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_repository(text)


def test_a_folder_written_behind_the_name_gets_the_right_command() -> None:
    with pytest.raises(UsageError, match="'lorarack pull acme/orders --subfolder runs/checkpoint-2'"):
        parse_repository("acme/orders/runs/checkpoint-2")


@pytest.mark.parametrize("text", ["", "..", "../x", "/x", "a//b", "a/../b", ".git", "a\nb", "x" * 600, "a" + "/a" * 20])
def test_a_folder_is_inside_the_repository(text: str) -> None:
    with pytest.raises(UsageError, match="is no folder in a repository"):
        check_subfolder(text)


def test_where_a_whole_repository_is_meant_a_folder_is_refused() -> None:
    assert whole_repository("https://huggingface.co/acme/orders/tree/main").revision == "main"
    with pytest.raises(UsageError, match="names a folder in a repository; write 'acme/orders@main'"):
        whole_repository("https://huggingface.co/acme/orders/tree/main/sub")
