"""Columns that hold another column of the same row, folded, and what keeps the two in step."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from django.db import models

from users.names import fold, nfc

if TYPE_CHECKING:  # generic in the stubs alone
    CharField = models.CharField[str, str]
    EmailField = models.EmailField[str, str]
    TextField = models.TextField[str, str]
else:
    from django.db.models import CharField, EmailField, TextField


class NormalizedCharField(CharField):
    """Text that is stored and looked up in Normalization Form C."""

    def to_python(self, value: Any) -> Any:
        # `get_prep_value()` passes here too: saves, updates and lookups.
        value = super().to_python(value)
        return nfc(value) if isinstance(value, str) else value


class NormalizedEmailField(NormalizedCharField, EmailField):
    pass


class FoldedField(TextField):
    """Another field of the same row, folded. `save()` and `bulk_create()` compute it;
    `FoldedQuerySet` looks after the writes that compute nothing."""

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
        # The instance now shows what the row holds.
        setattr(model_instance, self.source, source)
        setattr(model_instance, self.attname, folded)
        return folded


def folded_columns(model: type[models.Model]) -> dict[str, str]:
    """The name of each folded column of the model, by the name of its source."""
    fields = (field for field in model._meta.fields if isinstance(field, FoldedField))
    return {field.source: field.attname for field in fields}


def with_folded(model: type[models.Model], fields: Iterable[str]) -> set[str]:
    """The `update_fields` of a save, with each folded column if and only if its source is there.

    A save of other fields must not write them: the instance may be older than the row.
    """
    names, columns = {*fields}, folded_columns(model)
    return names.difference(columns.values()) | {columns[name] for name in names & columns.keys()}


def defer_with_source(instance: models.Model) -> None:
    """Let a save without `update_fields` write each folded column if and only if it writes the
    source. Django writes the fields that are loaded."""
    for source, folded in folded_columns(type(instance)).items():
        if source in instance.__dict__:
            instance.__dict__.setdefault(folded, "")  # `pre_save()` computes it
        else:
            instance.__dict__.pop(folded, None)


class FoldedQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Refuses to write a source without its folded column, and the reverse, with ValueError."""

    def update(self, **values: Any) -> int:
        self._require_both(values)
        for source, folded in folded_columns(self.model).items():
            text, given = values.get(source), values.get(folded)
            # Expressions pass: `bulk_update()` makes them of texts that are folded already.
            if isinstance(text, str) and given != fold(text):
                raise ValueError(f"{folded} must be fold({source}), and is not.")
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
                    f"{source} and {folded} are written together, or one would not fit the other: "
                    f"give both, with {folded} = fold({source}), or save each object."
                )
