// A cookie that lives as long as its session is used, in a real browser.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Server, TRANSPORTS } from "../support.mjs";
import { inState, launch, open, profile, signIn, tab } from "./browser.mjs";

/** Seconds that the cookie and its session live without a use. */
const LIFETIME = 5;
const ENV = { SESSION_TTL: `${LIFETIME}`, COOKIE_MAX_AGE: `${LIFETIME}` };

let browser, server;
before(async () => {
  browser = await launch();
  server = await Server.start("axum", ENV);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** When the browser forgets the cookie, in seconds since 1970; `undefined` without one. */
const expiry = async (context) => (await context.cookies()).find(({ name }) => name === "sid")?.expires;

/** An answer in JSON, shown as a page: it makes no requests of its own. */
async function quietTab(context) {
  const page = await tab(context, `${server.url}/me`);
  await page.addScriptTag({ url: "https://cdn.socket.io/4.8.1/socket.io.min.js" });
  return page;
}

async function signedIn(context) {
  const page = await quietTab(context);
  const form = { name: "Ann" };
  const post = (form) => fetch("/login", { method: "POST", body: new URLSearchParams(form), redirect: "manual" });
  await page.evaluate(post, form);
  assert.ok(await expiry(context));
  return page;
}

/** Uses the session for longer than it lives without that. The cookie's expiry never goes back. */
async function useForLong(context, use) {
  const first = await expiry(context);
  let used;
  for (let last = first; Date.now() / 1000 < first + 2; ) {
    used = Date.now() / 1000;
    await use();
    const now = await expiry(context);
    assert.ok(now >= last, `${now} after ${last}`);
    last = now;
    await pause(200);
  }
  // It is sent again when a tenth of its lifetime is over.
  assert.ok((await expiry(context)) > used + LIFETIME - 1);
}

test("with HTTP, the cookie lives on while it is used, and no longer", async () => {
  const context = await profile(browser);
  const page = await signedIn(context);
  const me = () => page.evaluate(async () => (await fetch("/me")).json());
  await useForLong(context, async () => assert.equal((await me()).name, "Ann"));
  await pause((LIFETIME + 1) * 1000);
  assert.equal(await expiry(context), undefined);
  assert.deepEqual(await me(), { error: "NO_COOKIE" });
  await context.close();
});

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`with sockets only, over ${name}, the cookie lives on while they are opened`, async () => {
    const context = await profile(browser);
    const page = await signedIn(context);
    await useForLong(context, async () => {
      const { session } = await open(page, server.url, { transports });
      assert.equal(session?.name, "Ann");
    });
    await context.close();
  });
}

test("after a logout, no answer brings the cookie back", async () => {
  const context = await profile(browser);
  const [one, two] = [await tab(context, server.url), await tab(context, server.url)];
  const asks = () => two.evaluate(() => Promise.all(Array.from({ length: 8 }, () => fetch("/me"))).then(() => {}));
  /** Logs out while other requests are under way; gives what is left of the cookie then. */
  const logsOut = async () => {
    await signIn(one, "Ann");
    await two.reload();
    await inState(two, "connected", "Connected as Ann.");
    // Longer than the interval between two refreshes, so that the next answer would bring one.
    await pause(LIFETIME * 100 + 200);
    await Promise.all([asks(), one.evaluate(() => fetch("/logout", { method: "POST", redirect: "manual" }))]);
    await inState(two, "signed-out");
    return expiry(context);
  };
  // A browser may process an answer from before the logout after that of the logout, which comes over another
  // connection: once more then.
  if (await logsOut()) await logsOut();
  for (let round = 0; round < 5; round += 1) {
    await asks();
    await open(two, server.url, { transports: ["polling"] });
    assert.equal(await expiry(context), undefined);
    await pause(LIFETIME * 40);
  }
  await context.close();
});
