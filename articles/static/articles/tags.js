// Shows a text area with one tag in each line as buttons and an input. The text area stays the field
// of the form; without this script it is used directly.
(() => {
  "use strict";

  const WAIT = 200; // ms after the last key, before suggestions are loaded

  function element(name, attributes = {}, ...children) {
    const created = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => created.setAttribute(key, value));
    created.append(...children);
    return created;
  }

  function connect(area) {
    const names = () => area.value.split("\n").filter((name) => name.trim());
    const pills = element("ul", { class: "tag-pills", "aria-label": "Tags" });
    const suggestions = element("datalist", { id: `${area.id}_suggestions` });
    const input = element("input", {
      type: "text",
      id: `${area.id}_input`,
      class: area.className,
      placeholder: "Add a tag",
      list: suggestions.id,
      autocomplete: "off",
    });
    const status = element("span", { class: "visually-hidden", role: "status" });

    function store(all) {
      area.value = [...new Set(all)].join("\n");
      show();
    }

    function add(text) {
      const added = text.split("\n").map((name) => name.trim()).filter(Boolean);
      if (added.length) {
        store([...names(), ...added]);
        status.textContent = `Added ${added.join(", ")}`;
      }
      input.value = "";
    }

    function remove(name) {
      store(names().filter((other) => other !== name));
      status.textContent = `Removed ${name}`;
      input.focus();
    }

    function show() {
      pills.replaceChildren(
        ...names().map((name) => {
          const button = element("button", { type: "button", "aria-label": `Remove ${name}` }, "×");
          button.addEventListener("click", () => remove(name));
          return element("li", {}, element("span", {}, name), button);
        }),
      );
    }

    let timer;
    async function suggest() {
      const url = new URL(area.dataset.tags, window.location.href);
      url.searchParams.set("term", input.value);
      const response = await fetch(url);
      if (response.ok) {
        const { results } = await response.json();
        suggestions.replaceChildren(...results.map(({ text }) => element("option", { value: text })));
      }
    }

    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault(); // Enter adds the tag and does not send the form
        add(input.value);
      } else if (event.key === "Backspace" && !input.value && names().length) {
        remove(names().at(-1));
      }
    });
    input.addEventListener("input", () => {
      clearTimeout(timer);
      if (input.value.trim()) {
        timer = setTimeout(suggest, WAIT);
      }
    });
    input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (text.includes("\n")) {
        event.preventDefault();
        add(text);
      }
    });
    // A tag that was typed without Enter is added too, before the form is sent. Not at once when the
    // input loses the focus: the page would move under the pointer, and a click would miss.
    input.addEventListener("blur", () => setTimeout(() => add(input.value), 300));
    area.form.addEventListener("submit", () => add(input.value));

    const label = document.querySelector(`label[for="${area.id}"]`);
    label.htmlFor = input.id;
    area.hidden = true;
    area.after(element("div", { class: "tag-input" }, pills, input, suggestions, status));
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("textarea[data-tags]").forEach(connect);
  });
})();
