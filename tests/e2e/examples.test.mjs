// Both examples, driven by the real client over every transport.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Manager } from "socket.io-client";
import { EXAMPLES, RUST_LOG, Server, TARGET, TRANSPORTS, ask, next, upgraded } from "./support.mjs";

for (const example of EXAMPLES) {
  describe(`the ${example} example`, () => {
    let server;
    before(async () => {
      server = await Server.start(example, { RUST_LOG });
    });
    after(() => server?.stop());

    test("says that its cookie and its key are for development", async () => {
      await server.logged(/without `Secure`/);
      await server.logged(/SESSION_KEY is not set/);
    });

    test("serves the page", async () => {
      const answer = await server.fetch("GET", "/");
      assert.equal(answer.status, 200);
      const page = await answer.text();
      assert.match(page, /socket\.io\.min\.js/);
      const style = await server.fetch("GET", page.match(/stylesheet" href="([^"]+)"/)[1]);
      assert.equal(style.headers.get("content-type"), "text/css");
    });

    test("signs in, shows who it is, and signs out", async () => {
      let answer = await server.fetch("POST", "/login", { form: { name: "Ann" } });
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get("location"), "/");
      const setCookie = answer.headers.get("set-cookie");
      assert.match(setCookie, /^sid=[^;]+; HttpOnly; SameSite=Lax; Path=\/$/);
      const cookie = setCookie.split(";")[0];

      answer = await server.fetch("GET", "/me", { cookie });
      assert.equal(answer.status, 200);
      assert.deepEqual(await answer.json(), { name: "Ann", visits: 0 });

      answer = await server.fetch("POST", "/logout", { cookie });
      assert.equal(answer.status, 303);
      assert.match(answer.headers.get("set-cookie"), /^sid=; .*Max-Age=0/);

      answer = await server.fetch("GET", "/me", { cookie });
      assert.equal(answer.status, 401);
      assert.deepEqual(await answer.json(), { error: "NO_SESSION" });
      answer = await server.fetch("GET", "/me");
      assert.equal(answer.status, 401);
      assert.deepEqual(await answer.json(), { error: "NO_COOKIE" });
    });

    test("lists the devices of a user, and signs out everywhere else", async () => {
      const name = "Ann of several devices";
      const [here, there, bob] = [await server.login(name), await server.login(name), await server.login("Bob")];
      const tabs = {};
      for (const [tab, cookie] of Object.entries({ here, there, bob })) {
        tabs[tab] = (await server.connect("/", { cookie, transports: ["websocket"] })).socket;
      }
      assert.deepEqual(await ask(tabs.there, "visit"), { visits: 1 });
      const devices = async () => (await server.fetch("GET", "/devices", { cookie: here })).json();
      assert.deepEqual(await devices(), [{ this: false, visits: 1 }, { this: true, visits: 0 }]);

      const [told, gone] = [next(tabs.there, "ended"), next(tabs.there, "disconnect")];
      const headers = { origin: "https://evil.example" };
      const foreign = await server.fetch("POST", "/sign-out-elsewhere", { cookie: here, headers });
      assert.equal(foreign.status, 403);
      const answer = await server.fetch("POST", "/sign-out-elsewhere", { cookie: here });
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.get("location"), "/");
      assert.deepEqual(await told, ["deleted"]);
      assert.equal((await gone)[0], "io server disconnect");
      assert.deepEqual(await devices(), [{ this: true, visits: 0 }]);
      for (const tab of [tabs.here, tabs.bob]) assert.ok((await ask(tab, "whoami")).name);
      assert.equal(await server.refused("/", { cookie: there }), "NO_SESSION");
    });

    test("lists no devices and ends no session without a session", async () => {
      const cookie = await server.login("Ann");
      for (const [method, path] of [["GET", "/devices"], ["POST", "/sign-out-elsewhere"]]) {
        const answer = await server.fetch(method, path);
        assert.equal(answer.status, 401);
        assert.deepEqual(await answer.json(), { error: "NO_COOKIE" });
      }
      assert.equal((await server.fetch("GET", "/me", { cookie })).status, 200);
    });

    test("refuses an empty name, and a sign-in from another site", async () => {
      for (const form of [{ name: "" }, { name: "  " }, { other: "x" }]) {
        assert.equal((await server.fetch("POST", "/login", { form })).status, 400);
      }
      const headers = { origin: "https://evil.example" };
      const answer = await server.fetch("POST", "/login", { form: { name: "Eve" }, headers });
      assert.equal(answer.status, 403);
      assert.deepEqual(await answer.json(), { error: "FORBIDDEN" });
    });

    for (const [name, transports] of Object.entries(TRANSPORTS)) {
      test(`accepts a cookie over ${name}, and the socket shares the session`, async () => {
        const cookie = await server.login("Ann");
        const { socket, session } = await server.connect("/", { cookie, transports });
        assert.deepEqual(session, { name: "Ann", visits: 0 });
        if (transports.length > 1) {
          await upgraded(socket);
          assert.equal(socket.io.engine.transport.name, "websocket");
        }
        assert.deepEqual(await ask(socket, "visit"), { visits: 1 });
        assert.deepEqual(await ask(socket, "whoami"), { name: "Ann", visits: 1 });
        const answer = await server.fetch("GET", "/me", { cookie });
        assert.deepEqual(await answer.json(), { name: "Ann", visits: 1 });
      });

      test(`rejects with distinct codes over ${name}`, async () => {
        const cookie = await server.login("Ann");
        const refused = (options) => server.refused("/", { transports, ...options });
        assert.equal(await refused({}), "NO_COOKIE");
        assert.equal(await refused({ cookie: "sid=forged" }), "NO_SESSION");
        assert.equal(await refused({ auth: { token: "forged" } }), "NO_SESSION");
        const headers = { origin: "https://evil.example" };
        assert.equal(await refused({ cookie, headers }), "FORBIDDEN");
        await server.fetch("POST", "/logout", { cookie });
        assert.equal(await refused({ cookie }), "NO_SESSION");
      });

      test(`lets anonymous clients into the lobby over ${name}`, async () => {
        const anonymous = await server.connect("/lobby", { transports });
        assert.deepEqual(anonymous.session, { name: null });
        const forged = await server.connect("/lobby", { transports, cookie: "sid=forged" });
        assert.deepEqual(forged.session, { name: null });
        const cookie = await server.login("Ann");
        const ann = await server.connect("/lobby", { transports, cookie });
        assert.deepEqual(ann.session, { name: "Ann", visits: 0 });
        // To a page of a foreign origin, the identity of the cookie is withheld.
        const headers = { origin: "null" };
        const foreign = await server.connect("/lobby", { transports, cookie, headers });
        assert.deepEqual(foreign.session, { name: null });
      });

      test(`takes a token by auth object, auth function and query over ${name}`, async () => {
        const cookie = await server.login("Ann");
        const token = await server.token(cookie);
        const fresh = async (send) => send({ token: await server.token(cookie) });
        for (const options of [{ auth: { token } }, { auth: fresh }, { query: { token } }]) {
          const { session } = await server.connect("/", { transports, ...options });
          assert.deepEqual(session, { name: "Ann", visits: 0 });
        }
      });
    }

    test("several namespaces share one connection", async (t) => {
      const cookie = await server.login("Ann");
      const manager = new Manager(server.url, { extraHeaders: { cookie }, transports: ["websocket"] });
      t.after(() => manager._close());
      const sockets = [manager.socket("/"), manager.socket("/lobby")];
      server.sockets.push(...sockets);
      const sessions = await Promise.all(sockets.map((socket) => next(socket, "session")));
      assert.deepEqual(sessions, [[{ name: "Ann", visits: 0 }], [{ name: "Ann", visits: 0 }]]);
    });

    test("a change shows in the next event of another tab, and is pushed to it", async () => {
      const cookie = await server.login("Ann");
      const one = await server.connect("/", { cookie });
      const two = await server.connect("/", { cookie });
      const pushed = next(two.socket, "session");
      assert.deepEqual(await ask(one.socket, "visit"), { visits: 1 });
      assert.deepEqual(await ask(two.socket, "whoami"), { name: "Ann", visits: 1 });
      assert.deepEqual(await pushed, [{ name: "Ann", visits: 1 }]);
      assert.deepEqual(await ask(two.socket, "visit"), { visits: 2 });
    });

    test("a socket comes back by itself after its transport was lost", async (t) => {
      const cookie = await server.login("Ann");
      const options = { cookie, reconnection: true, reconnectionDelay: 10 };
      const { socket } = await server.connect("/", options);
      t.after(() => socket.disconnect());
      const again = next(socket, "session");
      socket.io.engine.close();
      assert.deepEqual(await again, [{ name: "Ann", visits: 0 }]);
    });

    test("signing out tells and disconnects every tab in every namespace", async () => {
      const cookie = await server.login("Ann");
      const tabs = [];
      for (let tab = 0; tab < 3; tab += 1) {
        tabs.push((await server.connect("/", { cookie })).socket);
        tabs.push((await server.connect("/lobby", { cookie })).socket);
      }
      const other = await server.connect("/", { cookie: await server.login("Bob") });
      const told = tabs.map((socket) => next(socket, "ended"));
      const gone = tabs.map((socket) => next(socket, "disconnect"));
      await server.fetch("POST", "/logout", { cookie });
      for (const [reason] of await Promise.all(told)) assert.equal(reason, "deleted");
      for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
      assert.deepEqual(await ask(other.socket, "whoami"), { name: "Bob", visits: 0 });
    });

    test("signing in again ends the socket that was opened on a planted id", async () => {
      const planted = await server.login("Mallory");
      const mallory = await server.connect("/", { cookie: planted });
      const told = next(mallory.socket, "ended");
      const gone = next(mallory.socket, "disconnect");
      const cookie = await server.login("Ann", planted);
      assert.notEqual(cookie, planted);
      assert.deepEqual(await told, ["rotated"]);
      await gone;
      assert.equal(await server.refused("/", { cookie: planted }), "NO_SESSION");
      const { session } = await server.connect("/", { cookie });
      assert.deepEqual(session, { name: "Ann", visits: 0 });
    });

    test("a token is no credential on ordinary HTTP", async () => {
      const token = await server.token(await server.login("Ann"));
      for (const [method, path] of [["POST", "/token"], ["GET", "/me"]]) {
        const answer = await server.fetch(method, `${path}?token=${token}`);
        assert.equal(answer.status, 401);
        assert.deepEqual(await answer.json(), { error: "NO_COOKIE" });
      }
    });

    test("a token passes from any origin, and a bad one hides no good cookie", async () => {
      const cookie = await server.login("Ann");
      const token = await server.token(cookie);
      const headers = { origin: "https://app.example" };
      const { session } = await server.connect("/", { headers, cookie, auth: { token } });
      assert.equal(session.name, "Ann");
      assert.equal(await server.refused("/", { cookie, auth: { token: "bad" } }), "NO_SESSION");
    });

    test("no secret is in the log", async () => {
      const cookie = await server.login("Ann");
      await server.fetch("POST", "/logout", { cookie });
      await server.refused("/", { cookie });
      await server.refused("/", { auth: { token: "a-secret-token" } });
      const id = decodeURIComponent(cookie).slice("sid=".length + 44);
      assert.ok(id.length >= 16);
      await server.logged(/NO_SESSION/);
      assert.ok(!server.log.includes(id) && !server.log.includes("a-secret-token"));
    });

    if (example === "axum") {
      test("its metrics count admissions, refusals and ends", async () => {
        const [stays, leaves] = [await server.login("Ann"), await server.login("Bob")];
        await server.connect("/", { cookie: stays });
        await server.connect("/lobby");
        const headers = { origin: "https://evil.example" };
        assert.equal(await server.refused("/", { cookie: stays, headers }), "FORBIDDEN");
        const { socket } = await server.connect("/", { cookie: leaves });
        const gone = next(socket, "disconnect");
        await server.fetch("POST", "/logout", { cookie: leaves });
        await gone;
        const text = await (await server.fetch("GET", "/metrics")).text();
        writeFileSync(`${TARGET}/metrics.txt`, text); // for review
        const value = (series) => Number(text.split("\n").find((line) => line.startsWith(`${series} `))?.split(" ")[1]);
        assert.ok(value('socketio_session_admissions_total{kind="session"}') > 1);
        assert.ok(value('socketio_session_admissions_total{kind="anonymous"}') > 0);
        assert.ok(value('socketio_session_rejections_total{code="FORBIDDEN",reason="foreign-origin"}') > 0);
        assert.ok(value('socketio_session_ends_total{reason="deleted"}') > 0);
        assert.ok(value('socketio_session_live_sockets') > 0);
        assert.equal(value("socketio_session_pending_deletions"), 0);
        assert.doesNotMatch(text, /namespace|lobby/);
      });
    }
  });

  describe(`the ${example} example by itself`, () => {
    test("ends cleanly with Ctrl-C while sockets are open", async (t) => {
      const server = await Server.start(example);
      t.after(() => server.stop());
      const cookie = await server.login("Ann");
      for (const transports of Object.values(TRANSPORTS)) {
        const { socket } = await server.connect("/", { cookie, transports });
        if (transports.length > 1) await upgraded(socket);
      }
      assert.equal(await server.interrupt(), 0);
    });

    test("an expired session is told and disconnected", async () => {
      const server = await Server.start(example, { SESSION_TTL: "6" });
      try {
        const cookie = await server.login("Ann");
        const { socket } = await server.connect("/", { cookie });
        const gone = next(socket, "disconnect");
        assert.deepEqual(await next(socket, "ended"), ["expired"]);
        await gone;
        assert.equal(await server.refused("/", { cookie }), "NO_SESSION");
      } finally {
        await server.stop();
      }
    });

    test("a key from the environment keeps credentials good over a restart", async () => {
      const SESSION_KEY = Buffer.alloc(32, 7).toString("base64");
      const one = await Server.start(example, { SESSION_KEY });
      const cookie = await one.login("Ann");
      await one.stop();
      const two = await Server.start(example, { SESSION_KEY, RUST_LOG });
      try {
        // The memory of the first process is gone, the signature is still good.
        assert.equal(await two.refused("/", { cookie }), "NO_SESSION");
        await two.logged(/there is an id but no session/);
        assert.doesNotMatch(two.log, /SESSION_KEY is not set/);
      } finally {
        await two.stop();
      }
    });

    test("an auth function brings a fresh token with every reconnect", async () => {
      const server = await Server.start(example, { TOKEN_TTL: "1" });
      try {
        const cookie = await server.login("Ann");
        const tokens = [];
        const auth = async (send) => {
          tokens.push(await server.token(cookie));
          send({ token: tokens.at(-1) });
        };
        const options = { auth, reconnection: true, reconnectionDelay: 10 };
        const { socket } = await server.connect("/", options);
        const again = next(socket, "session");
        socket.io.engine.close();
        assert.deepEqual(await again, [{ name: "Ann", visits: 0 }]);
        assert.equal(new Set(tokens).size, 2);
      } finally {
        await server.stop();
      }
    });
  });
}
