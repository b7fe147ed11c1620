// A real Express app and the socket server of the example, on one Redis.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { App, SECRET, idOf, keyOf, versions } from "./express/app.mjs";
import { Monitor } from "./express/monitor.mjs";
import { Redis } from "./redis.mjs";
import { Server, ask, next, soon, until } from "./support.mjs";

const ORIGIN = "http://localhost:3000";
const ann = { user: { name: "Ann" }, cart: [{ sku: "a/b", price: 9.99 }], "née": null };
const ANN = { name: "Ann", motto: "", visits: 0 };

describe(`sockets beside ${versions}`, () => {
  let redis, app, sockets, passport;
  before(async () => {
    redis = new Redis();
    await redis.start();
    app = await App.start(redis.port);
    const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}`, SESSION_SECRET: SECRET, APP_ORIGIN: ORIGIN };
    sockets = await Server.start("express", env);
    passport = await Server.start("express", { ...env, FIELD: "passport.user" });
  });
  after(async () => {
    await sockets?.stop();
    await passport?.stop();
    await app?.stop();
    await redis?.kill();
  });

  const record = (cookie) => JSON.parse(redis.cli("GET", keyOf(cookie)) || "null");

  /** A socket that is disconnected by `action`; gives the reason that the server told. */
  async function ends(socket, action) {
    const told = next(socket, "ended");
    const gone = next(socket, "disconnect");
    await action();
    const [cause] = await gone;
    assert.equal(cause, "io server disconnect");
    return (await told)[0];
  }

  test("a login in Express admits a socket with its data", async () => {
    const cookie = await app.login(ann);
    for (const transports of [["websocket"], ["polling"]]) {
      const { session } = await sockets.connect("/", { cookie, transports });
      assert.deepEqual(session, ANN);
    }
    const headers = { origin: ORIGIN };
    assert.deepEqual((await sockets.connect("/", { cookie, headers })).session, ANN);
    headers.origin = "http://localhost:4000";
    assert.equal(await sockets.refused("/", { cookie, headers }), "FORBIDDEN");
    assert.equal(await sockets.refused("/"), "NO_COOKIE");
    assert.equal(await sockets.refused("/", { cookie: cookie.replace("s%3A", "s%3Ax") }), "NO_SESSION");
  });

  test("destroy() disconnects the sockets", async (t) => {
    const took = [];
    for (let run = 0; run < 50; run += 1) {
      const cookie = await app.login(ann);
      const { socket } = await sockets.connect("/", { cookie, transports: ["websocket"] });
      socket.once("disconnect", () => took.push(performance.now() - app.destroyedAt));
      const reason = await ends(socket, () => app.fetch("POST", "/logout", { cookie }));
      assert.equal(reason, "deleted");
      if (run === 0) assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
    }
    took.sort((one, other) => one - other);
    const [median, p99] = [0.5, 0.99].map((part) => took[Math.floor(part * took.length)].toFixed(1));
    t.diagnostic(`from destroy() to the client's disconnect: median ${median} ms, p99 ${p99} ms, 50 runs`);
  });

  test("regenerate() disconnects the sockets, and the new cookie admits them", async () => {
    const cookie = await app.login(ann);
    const { socket } = await sockets.connect("/", { cookie });
    let renewed;
    const reason = await ends(socket, async () => (renewed = await app.fetch("POST", "/renew", { cookie })));
    assert.equal(reason, "deleted");
    assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
    assert.deepEqual((await sockets.connect("/", { cookie: renewed.cookie })).session, ANN);
  });

  test("a save by Express arrives as a change", async () => {
    const cookie = await app.login(ann);
    const { socket } = await sockets.connect("/", { cookie });
    const pushed = next(socket, "session");
    await app.fetch("POST", "/save", { cookie, json: { user: { name: "Ann", motto: "é 🔑" } } });
    assert.deepEqual(await pushed, [{ ...ANN, motto: "é 🔑" }]);
    assert.deepEqual(await ask(socket, "whoami"), { ...ANN, motto: "é 🔑" });
  });

  test("Express sees an update, with all else as it was", async () => {
    const cookie = await app.login({ ...ann, user: { name: "Ann", likes: ["tea"] } });
    const stored = record(cookie);
    const { socket } = await sockets.connect("/", { cookie });
    assert.deepEqual(await ask(socket, "visit"), { visits: 1 });
    assert.deepEqual(await ask(socket, "visit"), { visits: 2 });
    const expected = { ...stored, user: { ...stored.user, motto: "", visits: 2 } };
    assert.deepEqual(record(cookie), expected);
    assert.deepEqual(Object.keys(record(cookie)), Object.keys(stored));
    const me = await app.fetch("GET", "/me", { cookie });
    assert.deepEqual([me.status, me.cookie], [200, undefined]);
    assert.deepEqual(me.body, { ...expected, id: idOf(cookie) });
    assert.ok(Number(redis.cli("TTL", keyOf(cookie))) > 86_000);
  });

  test("another user in the same session ends its sockets", async () => {
    const cookie = await app.login(ann);
    const { socket } = await sockets.connect("/", { cookie });
    const gone = next(socket, "disconnect");
    await app.fetch("POST", "/save", { cookie, json: { user: { name: "Bob" } } });
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal((await sockets.connect("/", { cookie })).session.name, "Bob");
  });

  test("a touch by Express keeps the session and its sockets", async () => {
    const [kept, left] = [await app.login(ann), await app.login(ann)];
    const { socket } = await sockets.connect("/", { cookie: kept });
    const { socket: other } = await sockets.connect("/", { cookie: left });
    const expired = next(other, "ended");
    for (const cookie of [kept, left]) redis.cli("EXPIRE", keyOf(cookie), "6");
    await app.fetch("GET", "/me", { cookie: kept });
    assert.ok(Number(redis.cli("TTL", keyOf(kept))) > 86_000);
    // The other one shows that the time is over at which this one would have expired.
    assert.deepEqual(await expired, ["expired"]);
    assert.deepEqual(await ask(socket, "whoami"), ANN);
  });

  test("a logout of passport ends the sockets with its first save", async () => {
    const cookie = await app.login({ passport: { user: { name: "Ann" } } });
    const { socket, session } = await passport.connect("/", { cookie });
    assert.deepEqual(session, ANN);
    assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
    const held = app.hold("passport-logout");
    let answer;
    await ends(socket, () => (answer = app.fetch("POST", "/passport-logout", { cookie })) && held.loaded);
    assert.deepEqual(record(cookie).passport, {});
    assert.equal(await passport.refused("/", { cookie }), "NO_SESSION");
    held.release();
    assert.equal((await answer).status, 200);
  });

  test("a record that does not fit is no session, and stays", async () => {
    const cookie = await app.login(ann);
    const { socket } = await sockets.connect("/", { cookie });
    const told = next(socket, "ended");
    const gone = next(socket, "disconnect");
    await app.fetch("POST", "/save", { cookie, json: { user: { name: 7 } } });
    assert.deepEqual(await told, ["unreadable"]);
    await gone;
    const stored = redis.cli("GET", keyOf(cookie));
    assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
    await sockets.logged(/expected a string at user\.name/);
    assert.equal(redis.cli("GET", keyOf(cookie)), stored);
    assert.equal((await app.fetch("GET", "/me", { cookie })).body.user.name, 7);
  });

  test("Express takes a session that was made by the socket server as its own", async () => {
    const made = await sockets.fetch("POST", "/guest", { headers: { origin: ORIGIN } });
    assert.equal(made.status, 303);
    const cookie = made.headers.get("set-cookie").split(";")[0];
    const native = await app.login(ann);
    assert.deepEqual(record(cookie).cookie, record(native).cookie);
    const me = await app.fetch("GET", "/me", { cookie });
    assert.deepEqual([me.status, me.cookie, me.body.id], [200, undefined, idOf(cookie)]);
    assert.equal(me.body.user.name, "Guest");
    const { socket } = await sockets.connect("/", { cookie });
    const pushed = next(socket, "session");
    const saved = await app.fetch("POST", "/save", { cookie, json: { user: { name: "Guest", motto: "hi" } } });
    assert.deepEqual([saved.status, saved.cookie], [200, undefined]);
    assert.equal((await pushed)[0].motto, "hi");
    assert.equal(await ends(socket, () => app.fetch("POST", "/logout", { cookie })), "deleted");
  });

  test("the lines that the docs show bring a client back, and lead it to the sign-in", async (t) => {
    const docs = readFileSync(new URL("../../src/docs/express.md", import.meta.url), "utf8");
    const [, lines] = docs.match(/```js\n(let retries[^`]+)```/);
    assert.equal(lines.trim().split("\n").length, 8);
    const headers = {};
    const cookie = await app.login(ann);
    const socket = sockets.socket("/", { cookie, headers, reconnection: true, reconnectionDelay: 10 });
    t.after(() => socket.disconnect());
    const rejected = new Promise((resolve) => Function("socket", "signIn", lines)(socket, resolve));
    await next(socket, "session");

    // The old cookie is sent once more, before the new one has come.
    const again = next(socket, "session");
    const refused = next(socket, "connect_error");
    const renewed = await app.fetch("POST", "/renew", { cookie });
    assert.equal((await refused)[0].message, "NO_SESSION");
    headers.cookie = renewed.cookie;
    assert.deepEqual(await again, [ANN]);

    await app.fetch("POST", "/logout", { cookie: renewed.cookie });
    assert.equal(await soon(rejected, "the sign-in"), "NO_SESSION");
    assert.equal(socket.active, false);
  });

  test("an update overwrites no save of Express, and only a request under way overwrites an update", async (t) => {
    const cookie = await app.login(ann);
    const { socket } = await sockets.connect("/", { cookie, transports: ["websocket"] });
    const monitor = await Monitor.start(redis.port);
    const requests = [], updates = [];
    for (let n = 0; n < 40; n += 1) {
      requests.push(app.fetch("POST", `/count/${n}`, { cookie }));
      updates.push(ask(socket, "visit"));
      // Some overlap, some do not.
      if (n % 5 === 4) await Promise.all([requests.at(-1), updates.at(-1)]);
    }
    const answers = await Promise.all(requests);
    assert.ok(answers.every(({ status }) => status === 200));
    const visits = await Promise.all(updates);
    assert.deepEqual(visits.filter(({ error }) => error), []);
    const seen = await monitor.stop();

    let current = null, saves = 0, lost = 0;
    const ours = []; // the updates that stand, by the line of their save
    const begun = new Map();
    for (const [line, { byScript, command }] of seen.entries()) {
      const [name, first, value] = command;
      const began = name === "ECHO" && first.match(/^begun (\d+)$/);
      if (began) begun.set(Number(began[1]), line);
      if (name !== "SET" || first !== keyOf(cookie)) continue;
      const saved = JSON.parse(value);
      if (byScript) {
        if (current) assert.deepEqual({ ...saved, user: 0 }, { ...current, user: 0 }, "a save of Express was overwritten");
        ours.push({ line, visits: saved.user.visits });
      } else {
        const count = saved.user.visits ?? 0;
        const overwritten = ours.filter(({ visits }) => visits > count);
        for (const update of overwritten) assert.ok(update.line > begun.get(saved.last), "a request that began later overwrote an update");
        while (ours.length && ours.at(-1).visits > count) ours.pop();
        [saves, lost] = [saves + 1, lost + overwritten.length];
      }
      current = saved;
    }
    assert.equal(saves, 40);
    assert.deepEqual(record(cookie), current);
    t.diagnostic(`${lost} of 40 updates were overwritten by a request of Express that was under way`);
    assert.equal(seen.filter(({ byScript, command }) => byScript && command[0] === "SET" && command[1] === keyOf(cookie)).length, 40);
  });

  describe("a slow request of Express that began before the end", () => {
    test("brings a session that the socket server ended back, which deletes it again", async () => {
      const cookie = await app.login(ann);
      const { socket } = await sockets.connect("/", { cookie });
      for (const name of ["first", "second"]) app.hold(name);
      const slow = ["first", "second"].map((name) => app.fetch("POST", `/slow/${name}`, { cookie }));
      await soon(Promise.all([...app.held.values()].map(({ loaded }) => loaded)), "the slow requests");
      await ends(socket, () => socket.emit("logout"));
      assert.equal(redis.cli("EXISTS", keyOf(cookie)), "0");

      for (const [nth, name] of ["first", "second"].entries()) {
        const monitor = await Monitor.start(redis.port);
        app.held.get(name).release();
        const { status } = await slow[nth];
        assert.equal(status, 200);
        assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
        await until(() => redis.cli("EXISTS", keyOf(cookie)) === "0", "the second deletion", 5);
        const commands = (await monitor.stop()).map(({ command }) => command.slice(0, 2).join(" "));
        const saved = commands.indexOf(`SET ${keyOf(cookie)}`);
        assert.ok(saved >= 0, "Express wrote it back");
        assert.ok(commands.indexOf(`DEL ${keyOf(cookie)}`) > saved, commands.join("\n"));
      }
      assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
      assert.equal((await app.fetch("GET", "/me", { cookie })).body.user, undefined);
    });

    test("brings a session that Express destroyed back, as it does without sockets", async () => {
      const cookie = await app.login(ann);
      const { socket } = await sockets.connect("/", { cookie });
      const held = app.hold("slow");
      const slow = app.fetch("POST", "/slow/slow", { cookie });
      await held.loaded;
      assert.equal(await ends(socket, () => app.fetch("POST", "/logout", { cookie })), "deleted");
      assert.equal(await sockets.refused("/", { cookie }), "NO_SESSION");
      held.release();
      assert.equal((await slow).status, 200);
      assert.equal(record(cookie).slow, "slow");
      assert.equal((await app.fetch("GET", "/me", { cookie })).body.user.name, "Ann");
    });
  });
});
