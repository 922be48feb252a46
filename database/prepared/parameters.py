"""What a declaration gets in place of the values that are not known yet."""

from inspect import Parameter as Argument
from typing import Any, NoReturn

from django.db.models import Field, Value


class UnknownValue:
    """A value that is not known yet. It can only be compared with None and with its default."""

    hint = "compare it with None or its default only"

    def __init__(self, name: str, default: object = Argument.empty) -> None:
        self.name = name
        self._default = default

    def __eq__(self, other: object) -> bool:
        # An argument that has its default value is a constant, and not a parameter.
        if other == self._default:
            return False
        self._refuse()

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"{self.name!r} has no value yet: {self.hint}")

    __bool__ = __str__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = object.__hash__


class Parameter(UnknownValue):
    """A parameter that is used in filters and expressions of the ORM."""

    def __init__(self, name: str, field: "Field[Any, Any]", default: object) -> None:
        super().__init__(name, default)
        self._placeholder = PlaceholderValue(name, field)

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        return self._placeholder.resolve_expression(*args, **kwargs)


class PlaceholderValue(Value):
    """The place of a parameter in an expression of the ORM."""

    def __init__(self, name: str, output_field: "Field[Any, Any]") -> None:
        super().__init__(None, output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        # Without the cast, PostgreSQL can't always infer the type.
        return f"%s::{self.output_field.db_type(connection)}", (self,)
