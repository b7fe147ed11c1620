// The layer and transports, as the real client sees them: a `sid` is its session's, and the
// gate refuses over HTTP.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Manager } from "socket.io-client";
import { EXAMPLES, Server, TRANSPORTS, ask, next, soon } from "./support.mjs";

for (const example of EXAMPLES) {
  describe(`transports of the ${example} example`, () => {
    let server;
    before(async () => {
      server = await Server.start(example);
    });
    after(() => server?.stop());

    // As a browser's cookies do, these change under the feet of an open transport.
    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      test(`a whole session with sign-ins, reconnects and a sign-out over ${name}`, async (t) => {
        const headers = { cookie: await server.login("Ann") };
        const options = { headers, transports, reconnection: true, reconnectionDelay: 10 };
        const { socket } = await server.connect("/", options);
        t.after(() => socket.disconnect());
        let visits = 0;
        const use = async () => {
          for (let time = 0; time < 3; time += 1) {
            visits += 1;
            assert.deepEqual(await ask(socket, "visit"), { visits });
          }
        };
        await use();
        for (const user of ["Bea", "Cleo", "Dora"]) {
          const told = next(socket, "ended");
          const gone = next(socket, "disconnect");
          headers.cookie = await server.login(user, headers.cookie);
          assert.deepEqual(await told, ["rotated"]);
          assert.equal((await gone)[0], "io server disconnect");
          const back = next(socket, "session");
          socket.connect();
          // Nothing of the former user's session carries over.
          visits = 0;
          assert.deepEqual(await back, [{ name: user, visits }]);
          await use();
        }
        const back = next(socket, "session");
        socket.io.engine.close();
        assert.deepEqual(await back, [{ name: "Dora", visits }]);
        await use();
        // A poll that begins after it has no cookie any more, so the last word may not arrive.
        const gone = next(socket, "disconnect");
        await server.fetch("POST", "/logout", { cookie: headers.cookie });
        delete headers.cookie;
        const reasons = ["io server disconnect"];
        if (transports.includes("polling")) reasons.push("transport error");
        const [reason] = await gone;
        assert.ok(reasons.includes(reason), reason);
        assert.equal(await server.refused("/", { headers, transports }), "NO_COOKIE");
      });
    }

    test("two namespaces of one Manager come back over a new transport after a sign-in", async (t) => {
      const headers = { cookie: await server.login("Ann") };
      const manager = new Manager(server.url, { extraHeaders: headers, reconnectionDelay: 50 });
      t.after(() => manager._close());
      const sockets = ["/", "/lobby"].map((namespace) => manager.socket(namespace));
      server.sockets.push(...sockets);
      await Promise.all(sockets.map((socket) => next(socket, "session")));
      const [, lobby] = sockets;
      const { id } = manager.engine;
      const back = sockets.map(
        (socket) => soon(new Promise((resolve) => socket.on("session", (user) => user.name === "Bea" && resolve())), "Bea"),
      );
      for (const socket of sockets) {
        socket.on("disconnect", (reason) => {
          if (reason !== "io server disconnect") return;
          socket.disconnect();
          manager.engine.close();
          socket.connect();
        });
      }
      headers.cookie = await server.login("Bea", headers.cookie);
      await Promise.all(back);
      assert.notEqual(manager.engine.id, id);
      assert.equal(lobby.active, true);
    });

    test("two namespaces of one polling transport go on when a third is refused", async () => {
      const cookie = await server.login("Ann");
      const options = { cookie, transports: ["polling"], forceNew: false, multiplex: true };
      const root = await server.connect("/", options);
      const lobby = await server.connect("/lobby", options);
      assert.equal(root.socket.io, lobby.socket.io);
      assert.equal(await server.refused("/nowhere", options), "Invalid namespace");
      assert.deepEqual(await ask(root.socket, "visit"), { visits: 1 });
    });

    test("a stranger who knows the sid of a polling client gets nowhere", async () => {
      const cookie = await server.login("Ann");
      const { socket } = await server.connect("/", { cookie, transports: ["polling"] });
      const path = `/socket.io/?EIO=4&transport=polling&sid=${socket.io.engine.id}`;
      const stranger = { cookie: await server.login("Eve") };
      for (const options of [{}, stranger]) {
        for (const method of ["GET", "POST"]) {
          const answer = await server.fetch(method, path, options);
          assert.equal(answer.status, 400);
          assert.match(await answer.text(), /Session ID unknown/);
        }
      }
      assert.deepEqual(await ask(socket, "whoami"), { name: "Ann", visits: 0 });
    });
  });

  describe(`the gate of the ${example} example`, () => {
    let server;
    before(async () => {
      server = await Server.start(example, { GATE: "1" });
    });
    after(() => server?.stop());

    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      test(`over ${name}, a client tries again by itself until it has a session`, async (t) => {
        const headers = {};
        const options = { headers, transports, reconnection: true, reconnectionDelay: 50 };
        const socket = server.socket("/", options);
        t.after(() => socket.disconnect());
        for (let attempt = 0; attempt < 2; attempt += 1) {
          // Its context is there while the event is handled, and gone afterwards.
          const seen = await soon(
            new Promise((resolve) => {
              socket.once("connect_error", ({ message, context }) =>
                resolve([message, context?.status, context?.responseText]),
              );
            }),
            "connect_error",
          );
          const expected =
            transports[0] === "polling"
              ? ["xhr poll error", 401, '{"error":"NO_COOKIE"}']
              : ["websocket error"];
          assert.deepEqual(seen.slice(0, expected.length), expected);
          assert.equal(socket.active, true);
        }
        const session = next(socket, "session");
        headers.cookie = await server.login("Ann");
        assert.deepEqual(await session, [{ name: "Ann", visits: 0 }]);
        assert.deepEqual(await ask(socket, "visit"), { visits: 1 });
      });
    }

    test("it ends its attempts when it is told to", async () => {
      const socket = server.socket("/", { reconnection: true, reconnectionDelay: 10 });
      await next(socket, "connect_error");
      socket.disconnect();
      assert.equal(socket.active, false);
    });

    test("a token in the query gets in, and one in the auth payload comes too late", async () => {
      const token = await server.token(await server.login("Ann"));
      await server.connect("/", { query: { token } });
      const transports = ["polling"];
      assert.equal(await server.refused("/", { auth: { token }, transports }), "xhr poll error");
    });

    test("the pages work as ever", async () => {
      assert.equal((await server.fetch("GET", "/")).status, 200);
      assert.equal((await server.fetch("GET", "/me")).status, 401);
    });
  });
}
