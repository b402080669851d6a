// The API of this server. 401 opens the form for the token; the request is made again once it was taken.

import { openSession } from "./session.js";

export class ApiError extends Error {
  /** status 0: the server was not reached. */
  constructor(status, detail) {
    super(detail);
    this.status = status;
    this.detail = detail;
  }
}

async function ask(method, path, body) {
  for (;;) {
    const answer = await reach(method, path, body);
    if (answer.status === 401) {
      await openSession();
      continue;
    }
    const said = await content(answer);
    if (answer.ok) return said;
    throw new ApiError(answer.status, typeof said?.detail === "string" ? said.detail : `HTTP ${answer.status}`);
  }
}

async function reach(method, path, body) {
  const settings = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    settings.headers = { "content-type": "application/json" };
    settings.body = JSON.stringify(body);
  }
  try {
    return await fetch(path, settings);
  } catch {
    throw new ApiError(0, "unreachable");
  }
}

async function content(answer) {
  if (answer.status === 204) return null;
  const kind = answer.headers.get("content-type") ?? "";
  try {
    return kind.includes("json") ? await answer.json() : await answer.text();
  } catch {
    throw new ApiError(0, "unreachable");
  }
}

export const api = {
  get: (path) => ask("GET", path),
  post: (path, body) => ask("POST", path, body),
  put: (path, body) => ask("PUT", path, body),
  delete: (path) => ask("DELETE", path),
};

/** /a?limit=5 out of ("/a", {limit: 5, before: null}): what is null, undefined or empty is left out. */
export function withQuery(path, query) {
  const there = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return there.length ? `${path}?${new URLSearchParams(there)}` : path;
}
