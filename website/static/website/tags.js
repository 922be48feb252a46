// The tag input of the editor. Enter and a comma add a tag as a pill, and a click on the icon of a
// pill removes it. Without this script, the form has a box for each tag.
"use strict";

document.querySelectorAll(".tag-input").forEach((field) => {
  const input = field.querySelector("input[name=newTags]");
  const list = field.querySelector(".tag-list");
  const pill = field.querySelector("template").content.firstElementChild;
  const status = field.querySelector("[role=status]");
  const names = () => [...list.querySelectorAll("input")].map((tag) => tag.value);

  function show(name) {
    const added = pill.cloneNode(true);
    added.querySelector("input").value = name;
    added.querySelector("bdi").textContent = name;
    added.querySelector("button").setAttribute("aria-label", `Remove ${name}`);
    list.append(added);
  }

  function add() {
    const typed = input.value.split(",").map((name) => name.trim()).filter(Boolean);
    input.value = "";
    const added = [...new Set(typed)].filter((name) => !names().includes(name));
    added.forEach(show);
    if (added.length) {
      status.textContent = `Added ${added.join(", ")}`;
    }
  }

  input.addEventListener("keydown", (event) => {
    // While a word of Chinese or Japanese is composed, Enter ends the word.
    if ((event.key === "Enter" || event.key === ",") && !event.isComposing) {
      event.preventDefault();
      add();
    }
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) {
      const removed = button.closest(".tag-pill");
      status.textContent = `Removed ${removed.querySelector("input").value}`;
      removed.remove();
      input.focus();
    }
  });
  // A tag that was typed without Enter.
  input.form.addEventListener("submit", add);

  const boxes = [...list.querySelectorAll("input")];
  list.replaceChildren();
  boxes.filter((box) => box.checked).forEach((box) => show(box.value));
});
