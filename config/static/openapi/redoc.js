"use strict";

// Redoc shows a logo from another host. Here it fails to load, without a request.
const setAttribute = HTMLImageElement.prototype.setAttribute;
HTMLImageElement.prototype.setAttribute = function (name, value) {
  if (name === "src" && new URL(value, location.href).origin !== location.origin) {
    setTimeout(() => this.dispatchEvent(new Event("error")));
  } else {
    setAttribute.call(this, name, value);
  }
};
Object.defineProperty(HTMLImageElement.prototype, "src", {
  set(value) {
    this.setAttribute("src", value);
  },
});

const element = document.getElementById("redoc");
// Redoc's own fonts are at another host too.
const fontFamily = "system-ui, sans-serif";

Redoc.init(
  element.dataset.schema,
  { theme: { typography: { fontFamily, headings: { fontFamily } } } },
  element,
);
