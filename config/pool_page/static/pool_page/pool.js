// Refreshes the sections of the pool page.
"use strict";

(() => {
  const page = document.getElementById("pool-page");
  const pause = document.getElementById("pool-pause");
  const live = document.getElementById("pool-live");
  const interval = Number(page.dataset.seconds) * 1000;
  const TIMEOUT = 5000; // milliseconds
  let paused = false;

  function say(text) {
    // A screen reader speaks each change of this text, so it changes only when the state does.
    if (live.textContent !== text) live.textContent = text;
  }

  function replace(section, html) {
    if (section.shown === html) return;
    section.shown = html;
    const open = [...section.querySelectorAll("details[open]")].map((details) => details.id);
    const focused = section.contains(document.activeElement) ? document.activeElement.id : "";
    section.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  async function refresh() {
    const response = await fetch(page.dataset.figures, {
      redirect: "manual", // a redirect leads to the login
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.type === "opaqueredirect") throw new Error("You are logged out. Reload this page.");
    if (!response.ok) throw new Error(`Not refreshed: the server answers ${response.status}.`);
    const { sections } = await response.json();
    if (paused) return; // during the request
    for (const section of page.querySelectorAll("[data-section]")) {
      replace(section, sections[section.dataset.section]);
    }
  }

  async function tick() {
    if (!paused && !document.hidden) {
      try {
        await refresh();
        if (!paused) say("Refreshed every few seconds.");
      } catch (error) {
        const known = error.message.startsWith("You") || error.message.startsWith("Not");
        say(known ? error.message : "Not refreshed: the server does not answer.");
      }
    }
    setTimeout(tick, interval);
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Continue" : "Pause";
    say(paused ? "Paused." : "Refreshed every few seconds.");
  });
  setTimeout(tick, interval);
})();
