// examples/tower_sessions with a real client: axum-login logs in and out, the sockets follow. Built by
// tests/run.sh.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Server, TARGET, TRANSPORTS, next } from "../support.mjs";

describe("a chat with axum-login", { timeout: 120_000 }, () => {
  let folder, server;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "chat-"));
    const DATABASE_URL = `sqlite:${join(folder, "chat.db")}?mode=rwc`;
    server = await Server.run(`${TARGET}/tower_sessions/debug/tower-sessions-chat`, { DATABASE_URL });
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true });
  });

  async function login(name, password = "secret") {
    const answer = await server.fetch("POST", "/login", { form: { name, password } });
    assert.equal(answer.status, 303);
    return answer.headers.get("set-cookie").split(";")[0];
  }

  async function connected(cookie, transports) {
    const socket = server.socket("/", { cookie, transports });
    await next(socket, "connect");
    return socket;
  }

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`over ${name}, a login lets in, and a logout disconnects every tab`, async () => {
      const cookie = await login("ann");
      const tabs = [await connected(cookie, transports), await connected(cookie, transports)];
      const said = next(tabs[1], "said");
      tabs[0].emit("say", "hello");
      assert.deepEqual(await said, ["ann", "hello"]);
      const gone = tabs.map((tab) => next(tab, "disconnect"));
      assert.equal((await server.fetch("POST", "/logout", { cookie })).status, 303);
      for (const [reason] of await Promise.all(gone)) assert.match(reason, /io server disconnect|transport/);
      assert.equal(await server.refused("/", { cookie, transports }), "NO_SESSION");
    });
  }

  test("without a login there is no socket", async () => {
    assert.equal(await server.refused("/"), "NO_COOKIE");
  });

  test("a new password ends the other sessions of its user alone", async () => {
    const [here, there, other] = [await login("ann"), await login("ann"), await login("bob")];
    const kept = await connected(here, ["websocket"]);
    const bob = await connected(other, ["websocket"]);
    const elsewhere = await connected(there, ["websocket"]);
    const gone = next(elsewhere, "disconnect");
    const answer = await server.fetch("POST", "/password", { cookie: here, form: { password: "another" } });
    assert.equal(answer.status, 303);
    assert.deepEqual(await gone.then(([reason]) => reason), "io server disconnect");
    // The session that changed the password may have got a new id: its page connects with the cookie it has now.
    const cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? here;
    if (!kept.connected) await connected(cookie, ["websocket"]);
    const said = next(bob, "said");
    bob.emit("say", "still here");
    assert.deepEqual(await said, ["bob", "still here"]);
    assert.equal(await server.refused("/", { cookie: there }), "NO_SESSION");
    await login("ann", "another");
  });
});
