// The chat with its sessions in SQLite, in one process, and in Redis, in two.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis, freePort } from "../redis.mjs";
import { Server, TARGET, next, soon } from "../support.mjs";

export const DEPLOYMENTS = ["SQLite in one process", "Redis in two processes"];

let lines = 0;

/** Pages come from `web`, sockets connect to `chat`. */
export class Deployment {
  static async start(name, program) {
    const deployment = new Deployment();
    deployment.folder = await mkdtemp(join(tmpdir(), "chat-"));
    const DATABASE_URL = `sqlite:${join(deployment.folder, "chat.db")}?mode=rwc`;
    const env = { DATABASE_URL };
    deployment.run = (more) => Server.run(`${TARGET}/tower_sessions/debug/${program}`, { ...env, ...more });
    // Nothing else takes it while the chat is restarted.
    const PORT = `${await freePort()}`;
    if (name === DEPLOYMENTS[0]) {
      deployment.web = deployment.chat = await deployment.run({ PORT });
    } else {
      deployment.redis = new Redis();
      await deployment.redis.start();
      env.REDIS_URL = `redis://127.0.0.1:${deployment.redis.port}`;
      deployment.web = await deployment.run();
      deployment.chat = await deployment.run({ PORT });
    }
    return deployment;
  }

  /** Stops the process that sockets connect to, as Docker does, and starts another one in its place. */
  async restart() {
    const old = this.chat;
    assert.equal(await old.interrupt("SIGTERM"), 0);
    this.chat = await this.run({ PORT: new URL(old.url).port });
    this.chat.sockets = old.sockets;
    if (this.web === old) this.web = this.chat;
  }

  async stop() {
    for (const server of new Set([this.web, this.chat])) await server?.stop();
    await this.redis?.kill();
    await rm(this.folder, { recursive: true });
  }

  post(path, cookie, form) {
    return this.web.fetch("POST", path, { cookie, form });
  }

  /** Logs in, over the session of `cookie` if there is one; gives the cookie that the browser has then. */
  async login(name, { password = "secret", cookie } = {}) {
    const answer = await this.post("/login", cookie, { name, password });
    assert.equal(answer.status, 303);
    return cookieOf(answer) ?? cookie;
  }

  async isLoggedIn(cookie) {
    const answer = await this.web.fetch("GET", "/", { cookie });
    return !(await answer.text()).includes('action="/login"');
  }

  async connected(cookie, transports = ["websocket"]) {
    const socket = this.chat.socket("/", { cookie, transports });
    await next(socket, "connect");
    return socket;
  }

  refused(cookie, transports) {
    return this.chat.refused("/", { cookie, transports });
  }

  /** A socket that is still there says something, and hears it under its user's name. */
  async chats(socket, name) {
    const text = `line ${(lines += 1)}`;
    const heard = soon(new Promise((resolve) => {
      socket.on("said", (who, what) => what === text && resolve(who));
    }), text);
    // An event that reaches the server before the connect handler has added its own is lost.
    const saying = setInterval(() => socket.emit("say", text), 500);
    socket.emit("say", text);
    assert.equal(await heard.finally(() => clearInterval(saying)), name);
  }

  /** A session without a login from now on: its sockets are disconnected by the server, and none connects. */
  async isOver(cookie, ...gone) {
    for (const [reason] of await Promise.all(gone)) assert.match(reason, /^(io server disconnect|transport (close|error))$/);
    assert.equal(await this.refused(cookie), "NO_SESSION");
    assert.equal(await this.isLoggedIn(cookie), false);
  }
}

/** The cookie that an answer sets. */
export function cookieOf(answer) {
  return answer.headers.get("set-cookie")?.split(";")[0];
}
