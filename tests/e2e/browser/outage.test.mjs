// A page whose store is away for longer than live sessions go on without it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Redis } from "../redis.mjs";
import { Server, until } from "../support.mjs";
import { inState, launch, picture, profile, signIn, tab } from "./browser.mjs";

let browser, server;
const redis = new Redis();
before(async () => {
  browser = await launch();
  await redis.start();
  server = await Server.start("axum", { REDIS_URL: `redis://127.0.0.1:${redis.port}`, MAX_STALE: "2" });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await redis.kill();
});

test("the page is disconnected, tries again, and is back when the store is", async () => {
  const context = await profile(browser);
  const page = await tab(context, server.url);
  await signIn(page, "Ann");
  await page.evaluate(() => {
    window.seen = [];
    socket.once("ended", (reason) => seen.push(reason));
    socket.once("disconnect", (reason) => seen.push(reason));
  });
  redis.process.kill("SIGSTOP");
  try {
    await inState(page, "refused", "The server can't look up sessions at the moment.");
    await picture(page, "store-unreachable");
    // Socket.IO's client does not connect again by itself after that.
    assert.deepEqual(await page.evaluate(() => seen), ["store-unreachable", "io server disconnect"]);
  } finally {
    redis.process.kill("SIGCONT");
  }
  await inState(page, "connected", "Connected as Ann.");
  // A click whose update the store does not answer yet counts nothing.
  const visits = page.locator("#visits", { hasText: /^[1-9]/ });
  await until(async () => {
    await page.click("#visit");
    return visits.waitFor({ timeout: 6_000 }).then(() => true, () => false);
  }, "a visit");
  assert.deepEqual(page.errors, []);
  await context.close();
});
