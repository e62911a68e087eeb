"""docs/training.md lists the recipe's keys as they are."""

import json
from pathlib import Path

import yaml
from pydantic_core import PydanticUndefined

from lorarack.adapters.recipe import DataPlan, Recipe, make_recipe
from lorarack.registry.value import Value

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


def _table(model: type[Value]) -> str:
    """The rows of the table that the page must hold."""
    lines = []
    for key, field in model.model_fields.items():
        default = field.default
        shown = "needed" if default is PydanticUndefined else f"`{json.dumps(default)}`"
        lines.append(f"| `{key}` | {shown} | {field.description} |")
    return "\n".join(lines)


def test_the_page_has_every_key_with_its_default() -> None:
    """Both tables stand in the page word for word; when this fails, paste what it shows."""
    page = PAGE.read_text(encoding="utf-8")
    assert _table(Recipe) in page, _table(Recipe)
    assert _table(DataPlan) in page, _table(DataPlan)


def test_the_recipe_on_the_page_is_a_recipe() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    assert make_recipe(yaml.safe_load(text)).ranks == (4, 16)
