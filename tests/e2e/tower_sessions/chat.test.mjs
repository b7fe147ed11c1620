// examples/tower_sessions with a real client: axum-login logs in and out, the sockets follow. Built by
// tests/run.sh.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TRANSPORTS, next, soon, upgraded } from "../support.mjs";
import { DEPLOYMENTS, Deployment, cookieOf } from "./deployments.mjs";

for (const name of DEPLOYMENTS) {
  describe(`a chat with axum-login, on ${name}`, () => {
    let app;
    before(async () => {
      app = await Deployment.start(name, "tower-sessions-chat");
    });
    after(() => app?.stop());

    for (const [transport, transports] of Object.entries(TRANSPORTS)) {
      test(`over ${transport}, a login lets in, and a logout disconnects every tab`, async () => {
        const cookie = await app.login("ann");
        const tabs = [await app.connected(cookie, transports), await app.connected(cookie, transports)];
        const said = next(tabs[1], "said");
        await app.chats(tabs[0], "ann");
        assert.equal((await said)[0], "ann");
        const gone = tabs.map((tab) => next(tab, "disconnect"));
        assert.equal((await app.post("/logout", cookie)).status, 303);
        await app.isOver(cookie, ...gone);
        assert.equal(await app.refused(cookie, transports), "NO_SESSION");
      });
    }

    test("without a login there is no socket", async () => {
      assert.equal(await app.refused(), "NO_COOKIE");
      const guess = `id=${Buffer.alloc(16, 7).toString("base64url")}`;
      assert.equal(await app.refused(guess), "NO_SESSION");
    });

    test("a login of another user over a session ends its sockets, and the next are the other user's", async () => {
      const cookie = await app.login("ann");
      const ann = await app.connected(cookie);
      const gone = next(ann, "disconnect");
      // axum-login keeps the id.
      assert.equal(await app.login("bob", { cookie }), cookie);
      assert.deepEqual(await gone.then(([reason]) => reason), "io server disconnect");
      await app.chats(await app.connected(cookie), "bob");
      await app.post("/logout", cookie);
    });

    test("a second login of the same user leaves the sockets alone", async () => {
      const cookie = await app.login("ann");
      const socket = await app.connected(cookie);
      assert.equal(await app.login("ann", { cookie }), cookie);
      await app.chats(socket, "ann");
      assert.ok(socket.connected);
      await app.post("/logout", cookie);
    });

    test("a new password ends the other sessions of its user alone", async () => {
      const [here, there, other] = [await app.login("ann"), await app.login("ann"), await app.login("bob")];
      const [kept, bob, elsewhere] = [await app.connected(here), await app.connected(other), await app.connected(there)];
      const gone = next(elsewhere, "disconnect");
      const answer = await app.post("/password", here, { password: "another" });
      assert.equal(answer.status, 303);
      await app.isOver(there, gone);
      // Where the new hash is read before the record that has it, its sockets end too, and come back.
      const cookie = cookieOf(answer) ?? here;
      await app.chats(kept.connected ? kept : await app.connected(cookie), "ann");
      await app.chats(bob, "bob");
      await app.login("ann", { password: "another" });
    });

    test("a deleted user has no sockets, whatever the sessions hold", async () => {
      const [here, there, other] = [await app.login("bob"), await app.login("bob"), await app.login("ann", { password: "another" })];
      const [one, two, ann] = [await app.connected(here), await app.connected(there), await app.connected(other)];
      const gone = [one, two].map((socket) => next(socket, "disconnect"));
      assert.equal((await app.post("/account/delete", here)).status, 303);
      await app.isOver(here, gone[0]);
      await app.isOver(there, gone[1]);
      await app.chats(ann, "ann");
    });

    test("when the server is stopped, clients see `transport close`, and come back by themselves", async (t) => {
      const cookie = await app.login("ann", { password: "another" });
      const socket = app.chat.socket("/", { cookie, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200 });
      t.after(() => socket.disconnect());
      await next(socket, "connect");
      await upgraded(socket);
      const closed = next(socket, "disconnect");
      const restarted = soon(app.restart(), "the next server");
      assert.equal((await closed)[0], "transport close");
      const again = next(socket, "connect");
      await restarted;
      await again;
      await app.chats(socket, "ann");
    });
  });
}
