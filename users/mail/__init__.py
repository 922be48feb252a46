"""E-mails to users: links to set a new password, and notices about changes of an account.

E-mails are rows of a table until they are sent, so a slow mail server delays no request, and a
process that is killed loses none. They contain no text of users, such as names: anybody can
register with the e-mail of somebody else, and would send them that text.
"""
