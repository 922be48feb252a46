"""Merging and renaming tags of any size.

Small tags are merged at once, in one transaction. Large tags are merged in the background: a server
moves the articles in batches, and both names exist until it has finished. New articles with the old
name are moved too. The articles keep their `updated_at`: their authors have not changed them.

Locks are taken in the order of `migrations/sql/tag_names.sql`: tags, articles, taggings.
"""

from django.db import connection, models, transaction

from articles.entries import Tag, Tagging
from users.queued_work import QueuedWork, work_queued
from users.retries import retry_after_deadlock

AT_ONCE = 1_000  # taggings; to move one takes PostgreSQL 0.2 ms
BATCH = 1_000  # articles; limits how long their writers wait

LOCK_TAGS = "SELECT id FROM articles_tag WHERE id = ANY (%s) ORDER BY id FOR "
LOCK_ARTICLES = "SELECT FROM articles_article WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE"


class TagMerge(QueuedWork):
    """A large tag whose articles are being moved to another tag. Ends when either is deleted."""

    # Without constraints: programs that TRUNCATE the tags would have to name this table too.
    source = models.OneToOneField(Tag, models.DO_NOTHING, related_name="merge", db_constraint=False)
    target = models.ForeignKey(Tag, models.DO_NOTHING, related_name="merges", db_constraint=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(source=models.F("target")), name="merge_of_two_tags"
            ),
        ]

    def __str__(self) -> str:
        return f"tag {self.source_id} into tag {self.target_id}"

    @classmethod
    def run_batch(cls) -> str:
        return retry_after_deadlock(cls._run_batch)

    @classmethod
    def _run_batch(cls) -> str:
        merge = cls.objects.order_by("pk").select_for_update(skip_locked=True).first()
        if merge is None:
            return ""
        source, target = merge.source_id, merge.target_id
        if _execute(LOCK_TAGS + "KEY SHARE", [[source, target]]) < 2:
            merge.delete()
            return f"Ended {merge}: one of them is deleted"
        if moved := _move_batch(source, target):
            return f"Moved {moved:,} articles of {merge}"
        # Waits for transactions that write taggings of the tag, and makes later ones wait.
        _execute(LOCK_TAGS + "UPDATE", [[source]])
        if moved := _move_batch(source, target):
            return f"Moved the last {moved:,} articles of {merge}"
        Tag.objects.filter(pk=source).delete()
        merge.delete()
        return f"Merged {merge}"


class TagMergeError(Exception):
    """The tags cannot be merged. The text says why."""


def merge_tags(sources: list[Tag], target_name: str) -> bool:
    """Merge the tags into the tag with this name, which is created if it does not exist. Returns
    False if that will happen in the background.

    Raises TagMergeError if the tag of this name is being merged into one of the tags.
    """
    with transaction.atomic():
        # One merge at a time, so that no tag is both the source and the target of queued merges.
        _execute("SELECT pg_advisory_xact_lock(hashtext('tag_merges'))", [])
        target = _locked_target(target_name)
        pks = _locked([tag.pk for tag in sources])
        if target.pk in pks:
            raise TagMergeError(f"“{target_name}” is being merged into “{target}”.")
        TagMerge.objects.filter(target__in=pks).update(target=target)
        if is_small(pks):
            _merge_at_once(pks, target.pk)
            return True
        TagMerge.objects.bulk_create(
            [TagMerge(source_id=pk, target=target) for pk in pks],
            update_conflicts=True,
            unique_fields=["source"],
            update_fields=["target"],
        )
        transaction.on_commit(work_queued.set)
    return False


def _merge_at_once(sources: list[int], target: int) -> None:
    _execute(LOCK_TAGS + "UPDATE", [sources])
    used = Tagging.objects.filter(tag__in=sources).values_list("tag", flat=True)
    for pk in {*used}:
        while _move_batch(pk, target):
            pass
    Tag.objects.filter(pk__in=sources).delete()
    TagMerge.objects.filter(source__in=sources).delete()


def rename_tag(tag: Tag, name: str) -> bool:
    """Give the tag another name. Returns False if that will happen in the background: a large tag
    is merged into a new one."""
    if not is_small([tag.pk]):
        return merge_tags([tag], name)
    tag.name = name
    tag.save(update_fields=["name"])
    return True


def _locked_target(name: str) -> Tag:
    """The tag into which tags are merged if an editor gives this name, locked."""
    while True:
        # Nothing is found if another transaction deletes the tag at this moment.
        for tag in Tag.objects.named([name]):
            merge = TagMerge.objects.filter(source=tag).select_related("target").first()
            target = merge.target if merge else tag
            if _locked([target.pk]):
                return target


def _locked(pks: list[int]) -> list[int]:
    """The ids of the tags that exist. Nobody can delete or rename these tags before the transaction
    ends, but articles can still get them."""
    tags = Tag.objects.filter(pk__in=pks).order_by("pk").select_for_update(no_key=True)
    return [*tags.values_list("pk", flat=True)]


def is_small(tags: list[int]) -> bool:
    """Whether the tags are so few, with so few articles, that they are changed at once."""
    taggings = Tagging.objects.filter(tag__in=tags)[: AT_ONCE + 1]
    return len(tags) <= AT_ONCE and taggings.count() <= AT_ONCE


def _move_batch(source: int, target: int) -> int:
    """Move the newest BATCH articles of a tag to another tag. An article that has both keeps one.
    Returns the number of articles."""
    _execute(LOCK_TAGS + "KEY SHARE", [[source, target]])
    taggings = Tagging.objects.filter(tag=source)
    # The order of an index.
    articles = [*taggings.newest_first().values_list("article", flat=True)[:BATCH]]
    if not articles:
        return 0
    _execute(LOCK_ARTICLES, [articles])
    # Later statements, which see the taggings that were committed before the locks. No other
    # transaction can add a tagging of a locked article.
    both = Tagging.objects.filter(tag=target, article__in=articles).values("article")
    taggings.filter(article__in=both).delete()
    taggings.filter(article__in=articles).update(tag=target)
    return len(articles)


def _execute(statement: str, parameters: list[list[int]]) -> int:
    """Returns the number of rows that were locked."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
