// Operations of tower-sessions on a session, with a real client; see app.rs for the routes. Built by tests/run.sh.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { next, until } from "../support.mjs";
import { DEPLOYMENTS, Deployment, cookieOf } from "./deployments.mjs";

for (const name of DEPLOYMENTS) {
  describe(`the sessions of tower-sessions, on ${name}`, () => {
    let app;
    before(async () => {
      app = await Deployment.start(name, "tower-sessions-chat-tested");
    });
    after(() => app?.stop());

    /** A session with a socket, and the end of that. */
    async function live() {
      const cookie = await app.login("ann");
      const socket = await app.connected(cookie);
      return { cookie, socket, gone: next(socket, "disconnect") };
    }

    test("cycle_id disconnects the old sockets, and the new id is let in", async () => {
      const { cookie, gone } = await live();
      const answer = await app.post("/cycle", cookie);
      assert.equal(answer.status, 200);
      await app.isOver(cookie, gone);
      const fresh = cookieOf(answer);
      assert.notEqual(fresh, cookie);
      await app.chats(await app.connected(fresh), "ann");
    });

    test("cycle_id whose answer is a 5xx is the end of the session", async () => {
      const { cookie, gone } = await live();
      const answer = await app.post("/cycle-and-fail", cookie);
      assert.equal(answer.status, 503);
      assert.equal(cookieOf(answer), undefined);
      await app.isOver(cookie, gone);
    });

    test("a client that leaves in the middle of cycle_id has no session", async () => {
      const { cookie, gone } = await live();
      const leaves = new AbortController();
      const request = fetch(`${app.web.url}/cycle-and-wait`, { method: "POST", headers: { cookie }, signal: leaves.signal });
      const left = assert.rejects(request, { name: "AbortError" });
      try {
        await until(async () => !(await app.isLoggedIn(cookie)), "the deletion", 10);
      } finally {
        leaves.abort();
      }
      await left;
      await app.isOver(cookie, gone);
    });

    test("an expiry disconnects", async () => {
      const { cookie, gone } = await live();
      assert.equal((await app.post("/expire-soon", cookie)).status, 200);
      await app.isOver(cookie, gone);
    });

    test("a session whose sockets are in use does not expire", async () => {
      const [used, silent] = [await live(), await live()];
      let isGone = false;
      const use = (async () => {
        while (!isGone) {
          await app.chats(used.socket, "ann");
          await pause(50);
        }
      })();
      // Awaited when the silent one is gone.
      use.catch(() => {});
      try {
        // The used one would expire first.
        for (const { cookie } of [used, silent]) {
          assert.equal((await app.post("/expire-soon", cookie)).status, 200);
        }
        await silent.gone;
      } finally {
        isGone = true;
      }
      await use;
      await app.chats(used.socket, "ann");
      assert.equal(await app.isLoggedIn(used.cookie), true);
      await app.post("/logout", used.cookie);
      await used.gone;
    });

    // With a `ReportingStore`, sockets only read.
    if (name !== DEPLOYMENTS[0]) test("what one of them writes, the other reads and keeps", async () => {
      const { cookie, socket } = await live();
      const visits = async (path) => (await app.post(path, cookie)).text();
      assert.equal(await visits("/visit"), "1");
      assert.equal(await visits("/visit-here"), "2");
      assert.equal(await visits("/visit"), "3");
      assert.equal(await visits("/visit-here"), "4");
      await app.chats(socket, "ann");
      assert.equal(await app.isLoggedIn(cookie), true);
    });

    test("what is ended here is logged out there", async () => {
      const { cookie, gone } = await live();
      assert.equal((await app.post("/end", cookie)).status, 200);
      await app.isOver(cookie, gone);
    });
  });
}
