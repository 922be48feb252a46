// Updates the preview of a Markdown text while it is typed. The server renders it, and its HTML is
// safe (articles/markdown.py).
(() => {
  "use strict";

  const WAIT = 400; // ms after the last key

  function connect(preview) {
    const area = document.getElementById(preview.dataset.preview);
    const token = area.form.querySelector("[name=csrfmiddlewaretoken]").value;
    let timer;
    let running;

    async function update() {
      running?.abort();
      running = new AbortController();
      try {
        const response = await fetch(preview.dataset.url, {
          method: "POST",
          headers: { "X-CSRFToken": token },
          body: new URLSearchParams({ text: area.value }),
          signal: running.signal,
        });
        const text = await response.text();
        if (response.ok) {
          preview.innerHTML = text;
        } else {
          preview.textContent = response.status === 413 ? text : "There is no preview at the moment.";
        }
      } catch (error) {
        if (error.name !== "AbortError") {
          preview.textContent = "There is no preview: the server cannot be reached.";
        }
      }
    }

    area.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(update, WAIT);
    });
    // The page contains the preview of the first characters alone.
    if (area.value.length > 20000) {
      update();
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-preview]").forEach(connect);
  });
})();
