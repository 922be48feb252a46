// What the site does in addition if JavaScript runs. Every page works without it.
"use strict";

// A request of htmx that failed. The page stays as it is, and a message says what happened.
const failure = document.getElementById("failure");
const REPEAT = "Please try again in a moment.";

document.addEventListener("htmx:beforeRequest", () => {
  failure.textContent = "";
});
document.addEventListener("htmx:sendError", () => {
  failure.textContent = `The site cannot be reached. ${REPEAT}`;
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { status, responseText } = detail.xhr;
  const isPage = /^\s*<!doctype/i.test(responseText);
  if (status < 400 || (detail.shouldSwap && !isPage)) {
    return;
  }
  detail.shouldSwap = detail.isError = false;
  // The policy of this page does not allow the style of an error page.
  const html = responseText.replace(/<style[^]*?<\/style>/g, "");
  const page = new DOMParser().parseFromString(html, "text/html");
  const texts = isPage ? [...page.querySelectorAll("h1, h1 ~ p:not(.request)")].map((text) => text.textContent) : [];
  failure.textContent = texts.length ? texts.join(". ") : `Something went wrong. ${REPEAT}`;
});

// A replaced part of the page may have had the focus: on a link to another page of a list, or on the
// button that deletes a comment. Then the new part gets it.
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  const hadFocus = detail.boosted || detail.target.matches(".card");
  if (hadFocus && document.activeElement === document.body) {
    document.querySelector("#list, #comments").focus({ preventScroll: true });
  }
});

// A double click sends a form once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) {
    return;
  }
  if (form.dataset.sent) {
    event.preventDefault();
  }
  form.dataset.sent = "yes";
});
// The browser may go back to the page as it was.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => form.removeAttribute("data-sent"));
});

// A browser that goes back shows the page as the server sent it, without what was written since.
const written = `written ${location.href}`;
if (sessionStorage.getItem(written)) {
  sessionStorage.removeItem(written);
  if (performance.getEntriesByType("navigation")[0].type === "back_forward") {
    location.reload();
  }
}
document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (detail.successful && detail.requestConfig.verb !== "get") {
    sessionStorage.setItem(`written ${location.href}`, "yes");
  }
});

// `drafts.js` keeps the text of the editor until a page follows that is not the login.
if (!document.querySelector(".auth-page, form[data-draft]")) {
  sessionStorage.removeItem("draft");
}
