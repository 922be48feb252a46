// A client in TypeScript. `api.ts` is generated from the description of the API.

import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

type Article = components["schemas"]["ArticleInList"];

const [baseUrl, email, password] = process.argv.slice(2) as [string, string, string];
const api = createClient<paths>({ baseUrl });

// A page of articles. Each field has a type: `createdAt` is a string, `bio` may be null.
const list = await api.GET("/articles", { params: { query: { tag: "dragons", limit: 20 } } });
assert(list.data);
const [article]: Article[] = list.data.articles;
assert(article);
const bio: string | null = article.author.bio;
assert.equal(bio, null);
assert.equal(list.data.articlesCount, 1);
// @ts-expect-error: an article in a list has no body
assert.equal(article.body, undefined);
const path = { slug: article.slug };

// Without a token, a comment is refused. The error has a type too.
const comment = { body: { comment: { body: "Thank you, that was helpful." } } };
const refused = await api.POST("/articles/{slug}/comments", { params: { path }, ...comment });
assert.equal(refused.response.status, 401);
assert.deepEqual(refused.error, { errors: { token: ["is missing"] } });

const login = await api.POST("/users/login", { body: { user: { email, password } } });
assert(login.data);
const token: string = login.data.user.token;
api.use({
  onRequest: ({ request }) => {
    request.headers.set("Authorization", `Token ${token}`);
    return request;
  },
});

const posted = await api.POST("/articles/{slug}/comments", { params: { path }, ...comment });
assert(posted.data);
const id: number = posted.data.comment.id;
const comments = await api.GET("/articles/{slug}/comments", { params: { path } });
assert.deepEqual(comments.data?.comments.map((each) => each.id), [id]);

// @ts-expect-error: a title is required
await api.POST("/articles", { body: { article: { description: "", body: "" } } });

console.log(`${article.title}: ${posted.data.comment.body}`);
