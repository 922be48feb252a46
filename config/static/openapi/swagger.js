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
