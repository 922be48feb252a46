"use strict";

const element = document.getElementById("swagger-ui");

SwaggerUIBundle({
  domNode: element,
  url: element.dataset.schema,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  // The description has no other server, so a validator elsewhere could not read it.
  validatorUrl: null,
  requestInterceptor: (request) => {
    // People paste the token alone. The API needs the word before it.
    const header = request.headers.Authorization;
    if (header && !header.includes(" ")) {
      request.headers.Authorization = `Token ${header}`;
    }
    return request;
  },
});

// What people with a screen reader or without a mouse need, and Swagger UI lacks.
new MutationObserver(() => {
  for (const list of element.querySelectorAll("select:not([aria-label])")) {
    list.setAttribute("aria-label", list.id === "servers" ? "Server" : "Example or media type");
  }
  for (const wide of element.querySelectorAll(".responses-inner pre:not([tabindex])")) {
    wide.tabIndex = 0; // so that the arrow keys scroll it
  }
}).observe(element, { childList: true, subtree: true });
