// The pages of the examples with Express and with tower-sessions, in a real browser.

import assert from "node:assert/strict";
import { once } from "node:events";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../redis.mjs";
import { Server, TARGET, soon } from "../support.mjs";
import { assertStyled, inState, launch, picture, profile, tab } from "./browser.mjs";

const PHONE = { viewport: { width: 360, height: 640 }, colorScheme: "dark" };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const isTooWide = () => document.documentElement.scrollWidth > document.documentElement.clientWidth;

test("the page of the Express app", async () => {
  const [PORT, SOCKETS_PORT, REDIS_PORT] = [await freePort(), await freePort(), await freePort()];
  const { REDIS_URL, ...env } = process.env;
  const app = spawn(process.execPath, ["start.mjs"], {
    cwd: fileURLToPath(new URL("../../../examples/express", import.meta.url)),
    env: { ...env, PORT, SOCKETS_PORT, REDIS_PORT, SOCKET_SERVER: `${TARGET}/debug/examples/express` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(app, "exit");
  const ended = exited.then(([code]) => {
    throw new Error(`start.mjs ended with ${code}: is \`npm ci\` done in examples/express?`);
  });
  ended.catch(() => {});
  try {
    let log = "";
    const started = new Promise((resolve) => {
      app.stdout.on("data", (chunk) => {
        log += chunk;
        if (/open http/.test(log) && /listening on/.test(log)) resolve();
      });
    });
    await Promise.race([soon(started, "both servers"), ended]);
    const context = await profile(browser, PHONE);
    const [one, two] = [await tab(context, `http://localhost:${PORT}`), await tab(context, `http://localhost:${PORT}`)];
    await inState(one, "signed-out", "You are signed out.");
    await assertStyled(one);
    await picture(one, "express-phone-1-signed-out");
    await one.fill("#signed-out input", "Ann");
    await one.click("text=Sign in (Express)");
    await inState(one, "connected", "Connected as Ann.");
    await one.click("text=Visit (Rust)");
    await one.locator("#visits", { hasText: "1" }).waitFor();
    await picture(one, "express-phone-2-connected");
    assert.equal(await one.evaluate(isTooWide), false, "it scrolls sideways");

    await two.reload();
    await inState(two, "connected", "Connected as Ann.");
    await two.click("text=Sign out (Express)");
    await inState(one, "signed-out", "You are signed out.");
    assert.deepEqual([...one.errors, ...two.errors], []);
    await context.close();
  } finally {
    app.kill("SIGINT");
    await soon(exited, "the end of the example");
  }
});

test("the page of the chat with tower-sessions", async () => {
  const folder = await mkdtemp(join(tmpdir(), "chat-"));
  const DATABASE_URL = `sqlite:${join(folder, "chat.db")}?mode=rwc`;
  const server = await Server.run(`${TARGET}/tower_sessions/debug/tower-sessions-chat`, { DATABASE_URL });
  try {
    const context = await profile(browser, PHONE);
    const [one, two] = [await tab(context, server.url), await tab(context, server.url)];
    await assertStyled(one);
    await one.fill("[name=name]", "ann");
    await one.fill("[name=password]", "wrong");
    await one.click("text=\"Log in\"");
    await inState(one, "refused", "The name or the password is wrong.");
    await picture(one, "chat-phone-1-refused");
    await one.fill("[name=password]", "secret");
    await one.click("text=\"Log in\"");
    await inState(one, "connected", "Connected.");
    await two.reload();
    await inState(two, "connected", "Connected.");
    await two.fill("[name=text]", "hello");
    await two.click("text=Say");
    await one.locator("#said", { hasText: "ann: hello" }).waitFor();
    await assertStyled(one);
    await picture(one, "chat-phone-2-connected");
    assert.equal(await one.evaluate(isTooWide), false, "it scrolls sideways");

    await two.click("text=Log out");
    await one.locator("#login").waitFor();
    assert.deepEqual([...one.errors, ...two.errors], []);
    await context.close();
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
});
