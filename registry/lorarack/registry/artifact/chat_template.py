"""Chat templates as a syntax tree, with the tags that transformers adds to Jinja. Nothing is rendered here."""

from typing import Any

import jinja2.nodes
import jinja2.sandbox
from jinja2.ext import Extension, loopcontrols


class _Generation(Extension):
    """transformers' tag that marks what the assistant says."""

    tags = {"generation"}  # noqa: RUF012  (jinja's own form)

    def parse(self, parser: Any) -> Any:
        """Its body, as if the tag were not there."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def parse_template(template: str) -> jinja2.nodes.Template:
    """The syntax tree of ``template``. Raises ``ValueError`` with Jinja's words where it is no template."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    try:
        tree = environment.parse(template)
        environment.compile(template)  # unknown filters and tests are found here
        return tree
    except (jinja2.TemplateError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise ValueError(f"{' '.join(str(error).split()) or type(error).__name__}{line}") from error
