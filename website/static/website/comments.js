// Where the focus goes after a comment was posted or deleted without loading the page.
"use strict";

document.addEventListener("htmx:afterRequest", () => {
  if (document.activeElement === document.body) {
    document.getElementById("comments")?.focus();
  }
});
