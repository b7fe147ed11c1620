// The example of Express as its README starts it: the app, the socket server and a Redis of their own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "./redis.mjs";
import { Server, TARGET, ask, next, soon, until } from "./support.mjs";

describe("the example of Express", () => {
  const sockets = new Server(), app = new Server();
  let started;
  before(async () => {
    const [PORT, SOCKETS_PORT, REDIS_PORT] = [await freePort(), await freePort(), await freePort()];
    const { REDIS_URL, ...env } = process.env;
    started = spawn(process.execPath, ["start.mjs"], {
      cwd: fileURLToPath(new URL("../../examples/express", import.meta.url)),
      env: { ...env, PORT, SOCKETS_PORT, REDIS_PORT, SOCKET_SERVER: `${TARGET}/debug/examples/express` },
      stdio: ["ignore", "pipe", "inherit"],
    });
    app.url = `http://localhost:${PORT}`;
    Object.assign(sockets, { url: `http://localhost:${SOCKETS_PORT}`, sockets: [] });
    started.once("exit", (code) => {
      throw new Error(`start.mjs ended with ${code}: is \`npm ci\` done in examples/express?`);
    });
    let log = "";
    started.stdout.on("data", (chunk) => (log += chunk));
    await until(() => /open http/.test(log) && /listening on/.test(log), "both servers");
  });
  after(async () => {
    for (const socket of sockets.sockets) socket.disconnect();
    started.removeAllListeners("exit");
    const exited = once(started, "exit");
    started.kill("SIGINT");
    assert.deepEqual(await soon(exited, "the end of the example"), [0, null]);
  });

  const post = async (path, { form, cookie } = {}) => {
    const answer = await app.fetch("POST", path, { form, cookie });
    assert.equal(answer.status, 302);
    return answer.headers.get("set-cookie")?.split(";")[0];
  };

  test("the page names the socket server, and the client is served", async () => {
    const page = await (await app.fetch("GET", "/")).text();
    assert.ok(page.includes(`io("${sockets.url}"`) && !page.includes("{{"));
    assert.equal((await app.fetch("GET", "/socket.io.min.js")).status, 200);
  });

  test("sign in, save a motto, take a new id, visit, sign out", async () => {
    const headers = { origin: app.url };
    const cookie = await post("/login", { form: { name: "Ann" } });
    const { socket, session } = await sockets.connect("/", { cookie, headers });
    assert.deepEqual(session, { name: "Ann", motto: "", visits: 0 });

    const pushed = next(socket, "session");
    await post("/profile", { form: { motto: "Onward" }, cookie });
    assert.equal((await pushed)[0].motto, "Onward");
    await ask(socket, "visit");
    const me = await (await app.fetch("GET", "/me", { cookie })).json();
    assert.deepEqual(me, { name: "Ann", motto: "Onward", visits: 1 });

    const renewed = next(socket, "disconnect");
    const fresh = await post("/renew", { cookie });
    assert.equal((await renewed)[0], "io server disconnect");
    const { socket: again, session: same } = await sockets.connect("/", { cookie: fresh, headers });
    assert.deepEqual(same, me);

    const gone = next(again, "disconnect");
    await post("/logout", { cookie: fresh });
    assert.equal((await gone)[0], "io server disconnect");
    assert.equal(await sockets.refused("/", { cookie: fresh, headers }), "NO_SESSION");
  });

  test("a guest of the socket server is a user of the app", async () => {
    const answer = await sockets.fetch("POST", "/guest", { headers: { origin: app.url } });
    assert.equal(answer.headers.get("location"), app.url);
    const cookie = answer.headers.get("set-cookie").split(";")[0];
    assert.equal((await (await app.fetch("GET", "/me", { cookie })).json()).name, "Guest");
  });
});
