// Keeps the text of a form with `data-draft` in this window while a person whose session has ended
// logs in. The value of the attribute names the person and the article.
"use strict";

{
  const form = document.querySelector("form[data-draft]");
  const draft = JSON.parse(sessionStorage.getItem("draft"));

  function restore([name, value]) {
    if (name === "tagList") {
      const tag = document.createElement("input");
      Object.assign(tag, { type: "checkbox", name, value, checked: true });
      form.querySelector(".tag-list").append(tag);
    } else if (form.elements[name]) {
      form.elements[name].value = value;
    }
  }

  if (draft?.of === form.dataset.draft && !form.querySelector("[aria-invalid]")) {
    form.querySelectorAll(".tag-list > *").forEach((tag) => tag.remove());
    draft.values.forEach(restore);
    document.getElementById("draft-status").textContent = "Your text was not saved. The form contains it again.";
  }
  form.addEventListener("submit", () => {
    const values = [...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken");
    sessionStorage.setItem("draft", JSON.stringify({ of: form.dataset.draft, values }));
  });
}
