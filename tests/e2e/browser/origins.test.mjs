// Pages of other hosts: a sibling that may use the sockets, and foreign pages that may not.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { freePort } from "../redis.mjs";
import { EXAMPLES, Server, TRANSPORTS } from "../support.mjs";
import { ForeignSite, launch, open, profile, signIn, tab } from "./browser.mjs";

const APP = "app.example.test";
const SOCKETS = "sockets.example.test";
const EVIL_SIBLING = "evil.example.test";
const EVIL = "evil.test";

let browser;
const site = new ForeignSite();
before(async () => {
  browser = await launch();
  await site.start();
});
after(async () => {
  await browser?.close();
  site.stop();
});

/** The server under this host name, in the browser only. */
const at = (server, host) => server.url.replace("127.0.0.1", host);

describe("the page on one host, the sockets on a sibling", () => {
  let server;
  before(async () => {
    const port = await freePort();
    const env = { PORT: `${port}`, COOKIE_DOMAIN: "example.test", ALLOW_ORIGIN: `http://${APP}:${port}` };
    server = await Server.start("axum", env);
  });
  after(() => server?.stop());

  test("the sockets have the session, and a sign-out removes the cookie of both", async () => {
    const context = await profile(browser);
    const page = await tab(context, at(server, APP));
    await signIn(page, "Ann");
    const [cookie] = await context.cookies();
    assert.equal(cookie.domain, ".example.test");
    for (const transports of Object.values(TRANSPORTS)) {
      const { session } = await open(page, at(server, SOCKETS), { transports });
      assert.equal(session?.name, "Ann", transports);
    }
    await page.click("text=Sign out");
    await page.locator("#signed-out input").waitFor();
    assert.deepEqual(await context.cookies(), []);
    const transports = ["websocket"];
    assert.deepEqual(await open(page, at(server, SOCKETS), { transports }), { refused: "NO_COOKIE" });
    await context.close();
  });

  test("a sibling that was not allowed gets nothing, although the browser sends it the cookie", async () => {
    const context = await profile(browser);
    await signIn(await tab(context, at(server, APP)), "Ann");
    const page = await tab(context, site.url(EVIL_SIBLING));
    const transports = ["websocket"];
    assert.deepEqual(await open(page, at(server, SOCKETS), { transports }), { refused: "FORBIDDEN" });
    // The answer of the server is hidden from the page, because it names no allowed origin of this one.
    const refused = await open(page, at(server, SOCKETS), { transports: ["polling"] });
    assert.deepEqual(refused, { refused: "xhr poll error" });
    await context.close();
  });
});

for (const example of EXAMPLES) {
  describe(`foreign pages and the ${example} example`, () => {
    let server;
    before(async () => {
      server = await Server.start(example);
    });
    after(() => server?.stop());

    for (const host of [EVIL_SIBLING, EVIL]) {
      test(`a page of ${host} gets no socket with the session, and can't sign the user in or out`, async () => {
        const context = await profile(browser);
        const own = await tab(context, at(server, APP));
        await signIn(own, "Ann");
        const foreign = await tab(context, site.url(host));
        const target = at(server, APP);
        const transports = ["websocket"];
        assert.deepEqual(await open(foreign, target, { transports }), { refused: "FORBIDDEN" });
        // The lobby is open to all, and tells a foreign page no name.
        const { session } = await open(foreign, `${target}/lobby`, { transports });
        assert.equal(session?.name ?? null, null);
        const polled = await open(foreign, target, { transports: ["polling"] });
        assert.deepEqual(polled, { refused: "xhr poll error" });

        for (const path of ["/logout", "/login"]) {
          await foreign.evaluate(async (url) => {
            const body = new URLSearchParams({ name: "Eve" });
            await fetch(url, { method: "POST", mode: "no-cors", credentials: "include", body }).catch(() => {});
          }, target + path);
        }
        const me = await own.evaluate(async () => (await fetch("/me")).json());
        assert.equal(me.name, "Ann");
        await context.close();
      });
    }
  });
}
