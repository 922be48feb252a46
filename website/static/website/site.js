// What the site does in addition if JavaScript runs. Every page works without it.
"use strict";
