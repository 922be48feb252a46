from django.urls import path

from website.views import (
    account_deletion,
    accounts,
    articles,
    comments,
    crawlers,
    editor,
    favorites,
    feeds,
    lists,
    password_reset,
    profiles,
)

app_name = "website"

urlpatterns = [
    path("", lists.home, name="home"),
    path("tag/", lists.tag_in_parameter, name="tag_in_parameter"),
    path("login", accounts.log_in, name="login"),
    path("register", accounts.register, name="register"),
    path("logout", accounts.log_out, name="logout"),
    path("settings", accounts.settings, name="settings"),
    path("settings/delete", account_deletion.delete_account, name="delete_account"),
    path("password-reset", password_reset.ask, name="password_reset"),
    path("password-reset/sent", password_reset.sent, name="password_reset_sent"),
    path("password-reset/done", password_reset.done, name="password_reset_done"),
    path("password-reset/<uidb64>/<token>", password_reset.confirm, name="password_reset_confirm"),
    # A tag may contain a slash.
    path("tag/<path:tag>", lists.tag, name="tag"),
    path("search", lists.search, name="search"),
    path("profile/<username>", profiles.profile, name="profile"),
    path("profile/<username>/favorites", profiles.favorites, name="favorites"),
    path("profile/<username>/follow", profiles.follow, name="follow"),
    path("profile/<username>/unfollow", profiles.unfollow, name="unfollow"),
    path("article/<slug>/favorite", favorites.favorite, name="favorite"),
    path("article/<slug>/unfavorite", favorites.unfavorite, name="unfavorite"),
    path("feeds/<kind>", feeds.feed, name="feed"),
    path("robots.txt", crawlers.robots, name="robots"),
    path("sitemap.xml", crawlers.sitemap, name="sitemap"),
    path("sitemap-articles-<int:block>.xml", crawlers.sitemap_page, name="sitemap_page"),
    path("article/<slug>", articles.article, name="article"),
    path("article/<slug>/delete", articles.delete, name="delete_article"),
    path("article/<slug>/comments", comments.comments, name="comments"),
    path("article/<slug>/comments/<pk>/delete", comments.delete, name="delete_comment"),
    path("editor", editor.new, name="editor"),
    path("editor/<slug>", editor.edit, name="edit"),
]
