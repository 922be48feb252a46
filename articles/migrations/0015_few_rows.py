"""The triggers take less time for statements that write few rows.

Only functions are replaced. So no reader or writer waits. To reverse it, writers must wait: a
function that is running would not find the function that is dropped.
"""

import re
from pathlib import Path

from django.db import migrations

from database.table_locks import SHARE_ROW_EXCLUSIVE, lock

TABLES = ("users_user", "articles_article", "articles_tagging", "articles_favorite")
SQL = Path(__file__).with_name("sql")
FEW_ROWS = (SQL / "few_rows.sql").read_text()
# The functions of the migrations before this one. If two files define a function, the last one is
# in use.
PREVIOUS = "".join(
    (SQL / name).read_text() for name in ("counts.sql", "hidden_counts.sql", "tag_names.sql")
)
FUNCTIONS = re.findall(
    r"^CREATE (?:OR REPLACE )?FUNCTION.*?^END \$\$;$", PREVIOUS, re.DOTALL | re.MULTILINE
)
RESTORE = [re.sub("^CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", each) for each in FUNCTIONS]
DROP = "DROP FUNCTION change_tally(integer, bigint, bigint)"


class Migration(migrations.Migration):
    dependencies = [("articles", "0014_keep_tag_names")]

    operations = [
        migrations.RunSQL(FEW_ROWS, [*RESTORE, DROP]),
        lock(*TABLES, backwards=SHARE_ROW_EXCLUSIVE),
    ]
