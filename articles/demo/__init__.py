"""A made-up site, for `manage.py demo_data`: people, what they write, like and say.

The words are in `words/*.toml`, one file for each subject; what is made of them depends
on the seed alone, never on the clock or on the order of a set.

    vocabulary   the words, as they stand in the files
    chance       drawing: seeded, skewed, in numbers that add up exactly
    calendar     when things happen: the two years before an instant
    people       who is there
    writing      articles
    remarks      comments
    size         how much of everything
    tables       rows into PostgreSQL, by COPY
    population   users and follows, loaded
    publication  articles with their tags, comments and favorites, loaded
"""
