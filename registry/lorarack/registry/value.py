"""What all values have in common; ``values`` has the values themselves."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lorarack.registry.errors import UsageError


class Value(BaseModel):
    """A frozen value; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``."""
        return self.model_dump(mode="json")


class InputValue(Value):
    """A value that callers construct in Python: invalid fields raise ``UsageError``, as other wrong arguments of a call do.

    Validated as part of another value or of a file, it raises pydantic's ``ValidationError`` there.
    """

    code: ClassVar[str]

    if not TYPE_CHECKING:  # checkers know the fields

        def __init__(self, /, **data: Any) -> None:
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise UsageError(
                    f"This {type(self).__name__} is invalid; {corrections(error)}", code=self.code
                ) from error

        # Pydantic need not come by here for each of the many that it makes of the catalog's rows.
        __init__.__pydantic_base_init__ = True


def corrections(error: ValidationError) -> str:
    """What to correct, in one line."""
    found = [
        f"{'.'.join(map(str, problem['loc'])) or 'all of it'}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return f"correct {'; '.join(found[:3])}{more}."
