"""Full-text search. Triggers keep the words of articles and comments (`migrations/sql/search.sql`),
and `manage.py verify_search` compares them with the texts."""

from typing import Self

from django.db import models

from database.backend import declare_harmless

MAX_MATCHES = 10_000

declare_harmless("newest_matches")


class NewestMatches(models.Func):
    """The ids of the newest rows that have all words of the text: a subquery for `pk__in`.

    At most MAX_MATCHES ids, those of the newest rows. PostgreSQL needs less than 0.2 s in a million
    rows for any words.
    """

    function = "newest_matches"
    template = "(SELECT %(function)s(%(expressions)s))"
    output_field = models.BigIntegerField()

    def __init__(self, table: str, text: str) -> None:
        # PostgreSQL stores no NUL. In a prepared query the text is a parameter.
        words = models.Value(text.replace("\0", " ")) if isinstance(text, str) else text
        super().__init__(models.Value(table), words, models.Value(MAX_MATCHES))


class SearchQuerySet[Row: models.Model](models.QuerySet[Row]):
    """Rows of a table whose words are in the table with the same name and the suffix `text`."""

    def matching(self, text: str) -> Self:
        """The rows that have all words of the text, in any order, in any letter case. For an
        article, a word of the title may also start with the word that is searched for.

        Of more than MAX_MATCHES rows, only those with the largest ids are found, and other filters
        apply only to them. A text without any word matches no row.
        """
        return self.filter(pk__in=NewestMatches(f"{self.model._meta.db_table}text", text))
