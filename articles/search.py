"""Full-text search. Triggers keep the words of articles and comments (`migrations/sql/search.sql`),
and `manage.py verify_search` compares them with the texts."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models

from database.backend import declare_harmless

MAX_MATCHES = 10_000

declare_harmless("newest_matches")


class NewestMatches(models.Func):
    """The ids of the newest rows that have all words of the text, as an array.

    At most MAX_MATCHES ids, those of the newest rows. PostgreSQL needs less than 0.2 s in a million
    rows for any words.
    """

    function = "newest_matches"
    template = "ARRAY(SELECT %(function)s(%(expressions)s))"
    output_field = ArrayField(models.BigIntegerField())

    def __init__(self, table: str, text: str) -> None:
        # PostgreSQL stores no NUL. In a prepared query the text is a parameter.
        words = models.Value(text.replace("\0", " ")) if isinstance(text, str) else text
        super().__init__(models.Value(table), words, models.Value(MAX_MATCHES))


class IsIn(models.Lookup):
    """Whether a column has a value of an array: an index lookup for each value.

    Not IN with a subquery, which is a join: PostgreSQL may then read the whole table, because it
    estimates that the function returns a thousand rows.
    """

    lookup_name = "is_in"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, column_params = self.process_lhs(compiler, connection)
        array, array_params = compiler.compile(self.rhs)
        return f"{column} = ANY({array})", (*column_params, *array_params)


class SearchQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Rows of a table whose words are in the table with the same name and the suffix `text`."""

    def matching(self, text: str) -> Self:
        """The rows that have all words of the text, in any order, in any letter case. For an
        article, a word of the title may also start with the word that is searched for.

        Of more than MAX_MATCHES rows, only those with the largest ids are found, and other filters
        apply only to them. A text without any word matches no row.
        """
        matches = NewestMatches(f"{self.model._meta.db_table}text", text)
        return self.filter(IsIn(models.F("pk"), matches))
