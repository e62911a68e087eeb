"""The model card: front matter for the Hub's machines, a page for people, both filled from the registry alone."""

from dataclasses import dataclass

from lorarack.registry.hub.card_text import page
from lorarack.registry.hub.results import to_block, to_results
from lorarack.registry.values import Base, Version


@dataclass(frozen=True, slots=True)
class CardOptions:
    """What the publisher adds to what the registry knows.

    Attributes:
        repo_id: where the card will stand, for the lines that say how to use it; None: a placeholder.
        license_id: an identifier from the Hub's list, for example ``apache-2.0``.
        example_prompt: a prompt for the lines that say how to use it.
    """

    repo_id: str | None = None
    license_id: str | None = None
    example_prompt: str | None = None


def model_card(version: Version, base: Base, options: CardOptions) -> str:
    """The text of ``README.md``. The same version and options give the same text."""
    from huggingface_hub import ModelCardData

    results = to_results(version)
    data = ModelCardData(
        # Only an id on the Hub will do there: the Hub refuses paths, and a plain name would link to a stranger's model.
        base_model=base.hub_id.value if base.hub_id else None,
        base_model_relation="adapter" if base.hub_id else None,
        library_name="peft",
        pipeline_tag="text-generation",
        license=options.license_id,
        tags=["lora", "lorarack"],
        model_name=version.adapter if results else None,
        eval_results=results or None,
        lorarack=to_block(version),
    )
    repo_id = options.repo_id or f"YOUR-NAME/{version.adapter.rpartition('/')[2]}"
    return f"---\n{data.to_yaml()}\n---\n\n{page(version, base, repo_id, options.example_prompt)}"
