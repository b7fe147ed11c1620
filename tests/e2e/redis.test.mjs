// Two processes that share their sessions in one Redis.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import { Server, ask, next, soon } from "./support.mjs";

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}

class Redis {
  constructor(port) {
    this.port = port;
  }

  async start() {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.process = spawn("redis-server", args, { stdio: "ignore" });
    await soon((async () => {
      while (this.cli("PING") !== "PONG") await pause(20);
    })(), "Redis");
  }

  cli(...args) {
    try {
      return execFileSync("redis-cli", ["-p", this.port, ...args], { encoding: "utf8", stdio: "pipe", timeout: 2_000 }).trim();
    } catch {
      return "";
    }
  }

  async kill() {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }
}

describe("two processes on one Redis", () => {
  let redis, a, b;
  before(async () => {
    redis = new Redis(await freePort());
    await redis.start();
    const SESSION_KEY = Buffer.alloc(32, 7).toString("base64");
    const env = { SESSION_KEY, REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    a = await Server.start("axum", env);
    b = await Server.start("axum", env);
  });
  after(async () => {
    await a?.stop();
    await b?.stop();
    await redis?.kill();
  });

  const key = (cookie) => `session:${decodeURIComponent(cookie).slice("sid=".length + 44)}`;

  /** A socket on `b` that is told of its end, and put out. */
  async function ends(socket, action) {
    const told = next(socket, "ended");
    const gone = next(socket, "disconnect");
    await action();
    const [reason] = await told;
    await gone;
    return reason;
  }

  test("log in on one, connect on the other, log out on the first", async () => {
    const cookie = await a.login("Ann");
    const { socket, session } = await b.connect("/", { cookie });
    assert.deepEqual(session, { name: "Ann", visits: 0 });
    const reason = await ends(socket, () => a.fetch("POST", "/logout", { cookie }));
    assert.equal(reason, "deleted");
    assert.equal(await b.refused("/", { cookie }), "NO_SESSION");
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

  test("signing in again on one ends the socket on the other", async () => {
    const planted = await a.login("Mallory");
    const { socket } = await b.connect("/", { cookie: planted });
    let cookie;
    const reason = await ends(socket, async () => (cookie = await a.login("Ann", planted)));
    assert.equal(reason, "deleted");
    assert.equal((await b.connect("/", { cookie })).session.name, "Ann");
  });

  test("a change on one shows on the other", async () => {
    const cookie = await a.login("Ann");
    const here = await a.connect("/", { cookie });
    const there = await b.connect("/", { cookie });
    for (let visits = 1; visits <= 20; visits += 1) {
      const { socket } = visits % 2 ? here : there;
      assert.deepEqual(await ask(socket, "visit"), { visits });
    }
    await soon((async () => {
      for (const { socket } of [here, there]) {
        while ((await ask(socket, "whoami")).visits !== 20) await pause(5);
      }
    })(), "the change");
  });

  test("while Redis hangs, new connections are refused and live ones go on; then all is as before", async () => {
    const cookie = await a.login("Ann");
    const { socket } = await b.connect("/", { cookie });
    redis.process.kill("SIGSTOP");
    try {
      const other = async () => {
        try {
          (await b.connect("/", { cookie })).socket.disconnect();
        } catch (error) {
          return error.message;
        }
      };
      // Until the hang is noticed, a live session still admits.
      await soon((async () => {
        while ((await other()) !== "refused: STORE_ERROR") await pause(100);
      })(), "STORE_ERROR");
      assert.deepEqual(await ask(socket, "whoami"), { name: "Ann", visits: 0 });
    } finally {
      redis.process.kill("SIGCONT");
    }
    await soon((async () => {
      while (!(await b.connect("/", { cookie }).catch(() => null))) await pause(100);
    })(), "admission");
    assert.equal(await ends(socket, () => redis.cli("DEL", key(cookie))), "deleted");
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
    await soon((async () => {
      while (!(await a.login("Bob").catch(() => null))) await pause(100);
    })(), "a new login");
    const bob = await a.login("Bob");
    assert.equal((await b.connect("/", { cookie: bob })).session.name, "Bob");
  });
});
