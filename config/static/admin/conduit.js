// Makes the controls of Unfold's pages usable by keyboard and named for screen readers: many are
// elements without a role that only react to clicks.
(() => {
  "use strict";

  const NAMES = {
    close: "Close",
    computer: "Theme",
    dark_mode: "Theme",
    light_mode: "Theme",
    more_vert: "Actions on the related row",
    more_horiz: "Actions",
  };

  // The name of a control that shows an icon only. The text of an icon is the name of its picture.
  function nameOf(element) {
    const icon = element.querySelector(".material-symbols-outlined") || element;
    const text = icon.textContent.trim();
    return element.textContent.trim() === text ? NAMES[text] : undefined;
  }

  function makeButton(element) {
    // A layer behind a dialog has no text: a click on it closes the dialog, and so does Escape.
    if (element.matches("a[href], button, input, select, label") || !element.textContent.trim()) {
      return;
    }
    element.setAttribute("role", "button");
    element.tabIndex = 0;
    const name = nameOf(element);
    if (name && !element.hasAttribute("aria-label")) {
      element.setAttribute("aria-label", name);
    }
  }

  // The search field of a relation has its value as its name, and no name while it is empty.
  function nameSelection(selection) {
    const select = selection.closest(".select2-container").previousElementSibling;
    const label = select?.id && document.querySelector(`label[for="${select.id}"]`);
    if (!label) {
      return;
    }
    const text = label.textContent.replace("*", "").trim();
    label.id ||= `${select.id}_label`;
    const value = selection.getAttribute("aria-labelledby");
    selection.setAttribute("aria-labelledby", value ? `${label.id} ${value}` : label.id);
    selection.querySelector("[role=textbox]")?.setAttribute("aria-label", text);
  }

  function makeAccessible(root) {
    root.querySelectorAll(".select2-selection").forEach(nameSelection);
    root.querySelectorAll("[x-on\\:click]").forEach(makeButton);
    // Django's picker of many rows: a label needs a role.
    root.querySelectorAll("span.help-tooltip[aria-label]").forEach((span) => {
      span.setAttribute("role", "img");
    });
  }

  // The cells of a list on a phone show the title of their column (conduit.css).
  function labelCells() {
    const titles = [...document.querySelectorAll("#result_list thead th")].map((header) =>
      header.querySelector(".text").textContent.trim(),
    );
    document.querySelectorAll("#result_list tr.data-row").forEach((row) => {
      [...row.cells].forEach((cell, index) => {
        cell.dataset.label = titles[index] || "";
      });
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    labelCells();
    makeAccessible(document);
    // Menus are added to the page later.
    new MutationObserver((changes) => {
      for (const change of changes) {
        change.addedNodes.forEach((node) => node instanceof Element && makeAccessible(node));
      }
    }).observe(document.body, { childList: true, subtree: true });
  });

  document.addEventListener("keydown", (event) => {
    const isKey = event.key === "Enter" || event.key === " ";
    if (isKey && event.target.matches("[role=button][x-on\\:click]")) {
      event.preventDefault();
      event.target.click();
    }
  });
})();
