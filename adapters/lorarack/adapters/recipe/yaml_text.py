"""YAML of a recipe as plain data: safe, and without keys of which one would silently replace another."""

from typing import Any

import yaml

from lorarack.registry.errors import UsageError

_MERGE = "tag:yaml.org,2002:merge"


class _OnceEach(yaml.SafeLoader):
    """Refuses a mapping that has a key twice; what ``<<`` brings in may be replaced, as ever."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The mapping as it is written, before anything is merged into it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            name, line = self.construct_object(key), key.start_mark.line + 1
            if name in lines:
                raise _doubled(name, lines[name], line)
            lines[name] = line
        return node


def _doubled(name: Any, first: int, second: int) -> UsageError:
    where = f"line {second}" if first == second else f"lines {first} and {second}"
    return UsageError(f"The recipe has the key {str(name)!r} twice ({where}); keep one.", code="bad_recipe")


def read_yaml(text: str) -> dict[Any, Any]:
    """The mapping that ``text`` is.

    Raises:
        UsageError: it is no YAML, no mapping, nested too deeply, or has a key twice.
    """
    try:
        found = yaml.load(text, _OnceEach)  # noqa: S506  (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # a date that no calendar has is a ValueError
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise UsageError(f"The recipe is not YAML{where}; write one 'key: value' a line.", code="bad_recipe") from error
    except RecursionError as error:
        raise UsageError(
            "The recipe is nested too deeply to be read; write one 'key: value' a line.", code="bad_recipe"
        ) from error
    if not isinstance(found, dict):
        raise UsageError("The recipe is empty or not a mapping; write one 'key: value' a line.", code="bad_recipe")
    return found
