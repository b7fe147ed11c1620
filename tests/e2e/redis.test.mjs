// Two processes that share their sessions in one Redis.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Cluster, Redis } from "./redis.mjs";
import { Server, ask, next, soon, until } from "./support.mjs";

/** The way of one process to Redis, which can be cut. */
class Line {
  async start(port) {
    this.open = new Set();
    this.server = createServer((near) => {
      if (this.cut) return near.destroy();
      const far = connect(port, "127.0.0.1");
      for (const [end, other] of [[near, far], [far, near]]) {
        this.open.add(end);
        end.pipe(other);
        end.on("error", () => other.destroy());
        end.on("close", () => (this.open.delete(end), other.destroy()));
      }
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
  }

  break() {
    this.cut = true;
    for (const end of this.open) end.destroy();
  }

  mend() {
    this.cut = false;
  }

  stop() {
    this.break();
    this.server.close();
  }
}

/** A socket that is told of its end, and put out. */
async function ends(socket, action) {
  const told = next(socket, "ended");
  const gone = next(socket, "disconnect");
  await action();
  const [reason] = await told;
  await gone;
  return reason;
}

/** A user with devices on both processes. */
async function signsOutEverywhereElse(a, b) {
  const name = "Ann of two processes";
  const [here, there, third] = [await a.login(name), await b.login(name), await b.login(name)];
  const { socket } = await b.connect("/", { cookie: there });
  const { socket: across } = await a.connect("/", { cookie: third });
  const { socket: stays } = await b.connect("/", { cookie: here });
  const devices = async (node, cookie) => (await (await node.fetch("GET", "/devices", { cookie })).json()).length;
  for (const node of [a, b]) assert.equal(await devices(node, here), 3);
  const acrossGone = next(across, "disconnect");
  const signOut = () => a.fetch("POST", "/sign-out-elsewhere", { cookie: here });
  assert.equal(await ends(socket, signOut), "deleted");
  await acrossGone;
  for (const node of [a, b]) {
    assert.equal(await devices(node, here), 1);
    for (const cookie of [there, third]) assert.equal(await node.refused("/", { cookie }), "NO_SESSION");
  }
  assert.deepEqual(await ask(stays, "whoami"), { name, visits: 0 });
}

describe("two processes on one Redis", () => {
  const SESSION_KEY = Buffer.alloc(32, 7).toString("base64");
  const line = new Line();
  let redis, a, b;
  before(async () => {
    redis = new Redis();
    await redis.start();
    await line.start(redis.port);
    const env = (port) => ({ SESSION_KEY, REDIS_URL: `redis://127.0.0.1:${port}` });
    a = await Server.start("axum", env(redis.port));
    b = await Server.start("axum", env(line.port));
  });
  after(async () => {
    await a?.stop();
    await b?.stop();
    line.stop();
    await redis?.kill();
  });

  const key = (cookie) => `session:${decodeURIComponent(cookie).slice("sid=".length + 44)}`;

  /** No client is admitted any more, not even to a session that is live there; until that is noticed, it admits. */
  async function noAnswers(node, cookie) {
    const connect = async () => {
      try {
        (await node.connect("/", { cookie })).socket.disconnect();
      } catch (error) {
        return error.message;
      }
    };
    await until(async () => (await connect()) === "refused: STORE_ERROR", "STORE_ERROR");
  }

  test("a process that has just started asks once for each session, however many connect", async () => {
    const fresh = await Server.start("axum", { SESSION_KEY, REDIS_URL: `redis://127.0.0.1:${redis.port}` });
    try {
      await fresh.logged(/the session store reports changes/);
      const cookies = [];
      for (let nth = 0; nth < 30; nth += 1) cookies.push(await a.login("Ann"));
      const transports = ["websocket"];
      const connect = (_, nth) => fresh.connect("/", { cookie: cookies[nth % cookies.length], transports });
      const commands = await redis.commands(() => Promise.all(Array.from({ length: 300 }, connect)));
      assert.equal(commands.filter((command) => command.includes('"GET" "session:')).length, cookies.length);
    } finally {
      await fresh.stop();
    }
  });

  test("log in on one, connect on the other, log out on the first", async () => {
    const cookie = await a.login("Ann");
    const { socket, session } = await b.connect("/", { cookie });
    assert.deepEqual(session, { name: "Ann", visits: 0 });
    const reason = await ends(socket, () => a.fetch("POST", "/logout", { cookie }));
    assert.equal(reason, "deleted");
    assert.equal(await b.refused("/", { cookie }), "NO_SESSION");
  });

  test("devices of both are listed by each, and signed out everywhere else by one", async () => {
    await signsOutEverywhereElse(a, b);
  });

  test("a deletion by hand, also after an update", async () => {
    const cookie = await a.login("Ann");
    for (const update of [false, true]) {
      const again = update ? await a.login("Ann") : cookie;
      const { socket } = await b.connect("/", { cookie: again });
      if (update) assert.deepEqual(await ask(socket, "visit"), { visits: 1 });
      assert.equal(await ends(socket, () => redis.cli("DEL", key(again))), "deleted");
    }
  });

  /** A sign-in over a session that is being updated; gives the reasons that its sockets on both are told. */
  async function signsInAgain() {
    const planted = await a.login("Mallory");
    const { socket: here } = await a.connect("/", { cookie: planted });
    const { socket: there } = await b.connect("/", { cookie: planted });
    const visits = Array.from({ length: 40 }, () => ask(there, "visit"));
    const answered = Promise.allSettled(visits);
    // The others are under way when the session ends.
    await visits[0];
    const ended = soon(Promise.all([here, there].map((socket) => ends(socket, () => {}))), "both ends");
    const cookie = await a.login("Ann", planted);
    const reasons = await ended;
    await answered;
    const { session } = await b.connect("/", { cookie });
    assert.deepEqual(session, { name: "Ann", visits: 0 });
    for (const node of [a, b]) {
      assert.equal(await node.refused("/", { cookie: planted }), "NO_SESSION");
    }
    assert.equal(redis.cli("EXISTS", key(planted)), "0");
    return reasons;
  }

  test("signing in again on one ends the sockets on both, and carries nothing over", async () => {
    let reasons = await signsInAgain();
    // The other process asks Redis, and calls it deleted when the machine stalls meanwhile: once more then.
    if (reasons[1] === "deleted") reasons = await signsInAgain();
    assert.deepEqual(reasons, ["rotated", "rotated"]);
  });

  /** Visits by five sockets on each process, all at the same time. */
  async function visitsOnBoth(cookie, count) {
    const tabs = [];
    for (const node of [a, b, a, b, a, b, a, b, a, b]) {
      tabs.push((await node.connect("/", { cookie })).socket);
    }
    return Array.from({ length: count }, (_, index) => ask(tabs[index % tabs.length], "visit"));
  }

  test("a hundred updates at the same time are a hundred", async () => {
    const cookie = await a.login("Ann");
    const answers = await Promise.all(await visitsOnBoth(cookie, 100));
    const counted = answers.map(({ visits }) => visits).sort((one, other) => one - other);
    assert.deepEqual(counted, Array.from({ length: 100 }, (_, index) => index + 1));
    assert.equal(JSON.parse(redis.cli("GET", key(cookie))).visits, 100);
  });

  test("updates that are under way at a logout bring nothing back", async () => {
    let inTime = false;
    for (let run = 0; run < 10 && !inTime; run += 1) {
      const cookie = await a.login("Ann");
      const visits = await visitsOnBoth(cookie, 100);
      const answered = Promise.allSettled(visits);
      await Promise.any(visits);
      await a.fetch("POST", "/logout", { cookie });
      assert.equal(redis.cli("EXISTS", key(cookie)), "0");
      const answers = await answered;
      inTime = answers.some(({ value }) => !value?.visits);
      // Whatever was under way on a connection has been done when the next login has.
      for (const node of [a, b]) await node.login("Bob");
      assert.equal(redis.cli("EXISTS", key(cookie)), "0");
    }
    assert.ok(inTime, "each logout came too late to be a test");
  });

  test("one process is cut off for a while: what it missed, it is told afterwards", async () => {
    const [out, changed] = [await a.login("Ann"), await a.login("Bea")];
    const { socket: leaves } = await b.connect("/", { cookie: out });
    const { socket: stays } = await b.connect("/", { cookie: changed });
    const { socket: elsewhere } = await a.connect("/", { cookie: changed });
    let told = false;
    leaves.once("ended", () => (told = true));
    line.break();
    await a.fetch("POST", "/logout", { cookie: out });
    assert.deepEqual(await ask(elsewhere, "visit"), { visits: 1 });
    await noAnswers(b, changed);
    assert.deepEqual(await ask(stays, "whoami"), { name: "Bea", visits: 0 });
    assert.equal(told, false);
    const pushed = next(stays, "session");
    assert.equal(await ends(leaves, () => line.mend()), "deleted");
    assert.deepEqual(await pushed, [{ name: "Bea", visits: 1 }]);
  });

  test("connections that are killed, and scripts that are flushed, are no loss", async () => {
    const cookie = await a.login("Ann");
    const { socket } = await b.connect("/", { cookie });
    redis.cli("SCRIPT", "FLUSH");
    redis.cli("CLIENT", "KILL", "TYPE", "normal");
    const visits = await until(async () => (await ask(socket, "visit")).visits, "an update");
    assert.equal(JSON.parse(redis.cli("GET", key(cookie))).visits, visits);
    assert.equal(await ends(socket, () => redis.cli("DEL", key(cookie))), "deleted");
    await until(() => a.login("Ann").catch(() => null), "a login on the other one");
  });

  test("a change on one is pushed on the other", async () => {
    const cookie = await a.login("Ann");
    const here = await a.connect("/", { cookie });
    const there = await b.connect("/", { cookie });
    for (let visits = 1; visits <= 20; visits += 1) {
      const [by, other] = visits % 2 ? [here, there] : [there, here];
      // One's own changes are pushed too, when they may.
      const shown = new Promise((resolve) =>
        other.socket.on("session", (user) => user.visits === visits && resolve()),
      );
      assert.deepEqual(await ask(by.socket, "visit"), { visits });
      await soon(shown, `the change to ${visits}`);
    }
  });

  test("while Redis hangs, new connections are refused and live ones go on; then all is as before", async () => {
    const cookie = await a.login("Ann");
    const { socket } = await b.connect("/", { cookie });
    redis.process.kill("SIGSTOP");
    try {
      await noAnswers(b, cookie);
      assert.deepEqual(await ask(socket, "whoami"), { name: "Ann", visits: 0 });
    } finally {
      redis.process.kill("SIGCONT");
    }
    await until(() => b.connect("/", { cookie }).catch(() => null), "admission", 100);
    assert.equal(await ends(socket, () => redis.cli("DEL", key(cookie))), "deleted");
    await until(() => a.login("Ann").catch(() => null), "a login on the other one");
  });

  test("what was deleted while a node was cut off is found when it is back", async () => {
    const cookie = await a.login("Ann");
    const { socket } = await b.connect("/", { cookie });
    const reason = await ends(socket, async () => {
      // Its data is gone with it.
      await redis.kill();
      await redis.start();
    });
    assert.equal(reason, "deleted");
    const bob = await until(() => a.login("Bob").catch(() => null), "a new login", 100);
    const { session } = await until(() => b.connect("/", { cookie: bob }).catch(() => null), "admission", 100);
    assert.equal(session.name, "Bob");
  });
});

describe("two processes on one cluster", () => {
  const cluster = new Cluster();
  let a, b;
  before(async () => {
    await cluster.start();
    const env = { SESSION_KEY: Buffer.alloc(32, 7).toString("base64"), REDIS_URL: cluster.url };
    a = await Server.start("axum", env);
    b = await Server.start("axum", env);
  });
  after(async () => {
    await a?.stop();
    await b?.stop();
    await cluster.kill();
  });

  test("log in on one, connect on the other, log out on the first", async () => {
    const cookie = await a.login("Bob");
    const { socket } = await b.connect("/", { cookie });
    assert.equal(await ends(socket, () => a.fetch("POST", "/logout", { cookie })), "deleted");
    assert.equal(await b.refused("/", { cookie }), "NO_SESSION");
  });

  test("devices of both are listed by each, and signed out everywhere else by one", async () => {
    await signsOutEverywhereElse(a, b);
  });
});
