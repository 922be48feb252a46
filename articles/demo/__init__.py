"""The generator of the made-up site of `manage.py demo_data`.

The words are in `words/*.toml`, one file for each subject. The content depends only on the seed
and the sizes, not on the clock or on the order of a set.

    vocabulary   reads the words
    chance       seeded random choices and skewed numbers with an exact sum
    calendar     random times in the two years before a given time
    people       generates people
    writing      generates articles
    remarks      generates comments
    size         the number of rows of each kind
    tables       loads rows into PostgreSQL by COPY
    population   loads users and follows
    publication  loads articles with their tags, comments and favorites
    site         loads everything
"""
