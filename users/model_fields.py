"""Model fields for usernames and e-mails: normalized columns, and folded copies of them."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from django.db import models

from users.names import fold, nfc

if TYPE_CHECKING:  # only the stubs are generic
    CharField = models.CharField[str, str]
    EmailField = models.EmailField[str, str]
    TextField = models.TextField[str, str]
else:
    from django.db.models import CharField, EmailField, TextField


class NormalizedCharField(CharField):
    """Text that is stored and looked up in NFC."""

    def to_python(self, value: Any) -> Any:
        # `get_prep_value()` calls this too, for saves, updates and lookups.
        value = super().to_python(value)
        return nfc(value) if isinstance(value, str) else value


class NormalizedEmailField(NormalizedCharField, EmailField):
    pass


class FoldedField(TextField):
    """The folded value of another field of the same row. `save()` and `bulk_create()` compute it;
    `FoldedQuerySet` checks the other writes."""

    def __init__(self, source: str, **options: Any) -> None:
        self.source = source
        super().__init__(editable=False, **options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        del options["editable"]
        return name, path, [self.source, *args], options

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        source = nfc(getattr(model_instance, self.source))
        folded = fold(source)
        # The instance gets the same values as the row.
        setattr(model_instance, self.source, source)
        setattr(model_instance, self.attname, folded)
        return folded


def folded_columns(model: type[models.Model]) -> dict[str, str]:
    """The names of the model's folded columns, by the names of their source columns."""
    fields = (field for field in model._meta.fields if isinstance(field, FoldedField))
    return {field.source: field.attname for field in fields}


def with_folded(model: type[models.Model], fields: Iterable[str]) -> set[str]:
    """The `update_fields` for a save, with a folded column exactly if its source is included.

    A save of other fields must not write a folded column: the instance may be older than the row.
    """
    names, columns = {*fields}, folded_columns(model)
    return names.difference(columns.values()) | {columns[name] for name in names & columns.keys()}


def defer_with_source(instance: models.Model) -> None:
    """Make a save without `update_fields` write a folded column exactly if it writes the source.
    Django then writes the fields that are loaded."""
    for source, folded in folded_columns(type(instance)).items():
        if source in instance.__dict__:
            instance.__dict__.setdefault(folded, "")  # `pre_save()` computes it
        else:
            instance.__dict__.pop(folded, None)


class FoldedQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Raises ValueError if a write has only one of a source column and its folded column."""

    def update(self, **values: Any) -> int:
        self._require_both(values)
        for source, folded in folded_columns(self.model).items():
            text, given = values.get(source), values.get(folded)
            # Expressions are not checked: `bulk_update()` makes them from folded texts.
            if isinstance(text, str) and given != fold(text):
                raise ValueError(f"{folded} must be fold({source}), but it is not.")
        return super().update(**values)

    def bulk_update(
        self, objs: Iterable[Row], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        rows, names = tuple(objs), tuple(fields)
        self._require_both(names)
        for field in map(self.model._meta.get_field, names):
            if isinstance(field, FoldedField):
                for row in rows:
                    field.pre_save(row, add=False)
        return super().bulk_update(rows, names, batch_size)

    def bulk_create(
        self,
        objs: Iterable[Row],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Row]:
        self._require_both(update_fields or ())
        return super().bulk_create(
            objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
        )

    def _require_both(self, names: Collection[str]) -> None:
        for source, folded in folded_columns(self.model).items():
            if (source in names) != (folded in names):
                raise ValueError(
                    f"{source} and {folded} must be written together. Give both, with "
                    f"{folded} = fold({source}), or save each object."
                )
