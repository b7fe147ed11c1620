// The example page, in a real browser.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EXAMPLES, Server } from "../support.mjs";
import { assertStyled, inState, launch, picture, profile, signIn, tab } from "./browser.mjs";

const PHONE = { viewport: { width: 360, height: 640 }, colorScheme: "dark" };

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

for (const example of EXAMPLES) {
  describe(`the page of the ${example} example`, () => {
    let server;
    before(async () => {
      server = await Server.start(example);
    });
    after(() => server?.stop());

    for (const [kind, options] of [["desktop", {}], ["phone", PHONE]]) {
      test(`two tabs, a sign-in, a sign-out: ${kind}`, async () => {
        const context = await profile(browser, options);
        const one = await tab(context, server.url);
        await inState(one, "signed-out", "You are signed out.");
        await assertStyled(one);
        await picture(one, `${example}-${kind}-1-signed-out`);
        await signIn(one, "Ann");
        await one.click("#visit");
        await one.locator("#visits", { hasText: "1" }).waitFor();
        await picture(one, `${example}-${kind}-2-connected`);

        const two = await tab(context, server.url);
        await inState(two, "connected", "Connected as Ann.");
        await two.click("#visit");
        // The other tab is told of the change.
        await one.locator("#visits", { hasText: "2" }).waitFor();

        await two.click("text=Sign out");
        await inState(one, "signed-out");
        await one.locator("#signed-out input").waitFor();
        await picture(one, `${example}-${kind}-3-signed-out-elsewhere`);
        assert.equal(await one.locator("#signed-in").isVisible(), false);
        await inState(two, "signed-out");
        const wide = () => document.documentElement.scrollWidth > document.documentElement.clientWidth;
        assert.equal(await one.evaluate(wide), false, "it scrolls sideways");

        await signIn(two, "Bob");
        // The first tab looks again when it is shown.
        await one.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
        await inState(one, "connected", "Connected as Bob.");
        assert.deepEqual([...one.errors, ...two.errors], []);
        await context.close();
      });
    }

    test("a transport that was lost is opened again", async () => {
      const context = await profile(browser);
      const page = await tab(context, server.url);
      await signIn(page, "Ann");
      await context.setOffline(true);
      await page.evaluate(() => socket.io.engine.close());
      await inState(page, "connecting");
      await picture(page, `${example}-desktop-4-connecting`);
      await context.setOffline(false);
      await inState(page, "connected", "Connected as Ann.");
      await context.close();
    });

    test("without the Socket.IO client, the page says so and the rest works", async () => {
      const context = await profile(browser);
      await context.route(/^https:/, (route) => route.abort());
      const page = await tab(context, server.url);
      await page.fill("#signed-out input", "Ann");
      await page.click("#signed-out button");
      await inState(page, "refused", "could not be loaded");
      await picture(page, `${example}-desktop-5-no-client`);
      await page.click("text=Sign out");
      await inState(page, "signed-out");
      await context.close();
    });
  });

  test(`an expired session of the ${example} example is shown in words`, async () => {
    const server = await Server.start(example, { SESSION_TTL: "6" });
    try {
      const context = await profile(browser);
      const page = await tab(context, server.url);
      await signIn(page, "Ann");
      await inState(page, "signed-out", "Your session is over. Please sign in again.");
      await picture(page, `${example}-desktop-6-expired`);
      await context.close();
    } finally {
      await server.stop();
    }
  });

  test(`behind the gate of the ${example} example, a tab that was signed out shows the form`, async () => {
    const server = await Server.start(example, { GATE: "1" });
    try {
      const context = await profile(browser);
      const [one, two] = [await tab(context, server.url), await tab(context, server.url)];
      await signIn(one, "Ann");
      await two.reload();
      await inState(two, "connected", "Connected as Ann.");
      await one.click("text=Sign out");
      await inState(two, "signed-out", "signed out");
      await context.close();
    } finally {
      await server.stop();
    }
  });

  test(`the page of the ${example} example shows the devices of a user, and signs out everywhere else`, async () => {
    const server = await Server.start(example);
    try {
      const [laptop, phone] = [await profile(browser), await profile(browser, PHONE)];
      const [here, there] = [await tab(laptop, server.url), await tab(phone, server.url)];
      for (const page of [there, here]) await signIn(page, "Ann");
      await here.click("text=Your devices");
      const devices = here.locator("#device-list li");
      await devices.nth(1).waitFor();
      assert.deepEqual(await devices.allTextContents(), ["This browser, 0 visits", "Another browser, 0 visits"]);
      await picture(here, `${example}-devices`);
      await here.click("text=Sign out everywhere else");
      await inState(there, "signed-out");
      await inState(here, "connected", "Connected as Ann.");
      await here.click("text=Your devices");
      await devices.first().waitFor();
      assert.deepEqual(await devices.allTextContents(), ["This browser, 0 visits"]);
      assert.deepEqual(here.errors, []);
      await Promise.all([laptop.close(), phone.close()]);
    } finally {
      await server.stop();
    }
  });
}

test("a page of an origin that is not allowed says so", async () => {
  const server = await Server.start("axum");
  try {
    const context = await profile(browser, PHONE);
    // As if the page came from elsewhere, or a proxy had changed `Host`.
    await context.route(/\/socket\.io\//, async (route) => {
      const headers = { ...route.request().headers(), origin: "http://elsewhere.test", "sec-fetch-site": "same-site" };
      const response = await route.fetch({ headers }).catch(() => null);
      await (response ? route.fulfill({ response }) : route.abort()).catch(() => {});
    });
    const page = await tab(context, server.url);
    await page.fill("#signed-out input", "Ann");
    await page.click("#signed-out button");
    await inState(page, "refused", "Pages from this address may not use your session.");
    await picture(page, "axum-phone-7-refused");
    await context.close();
  } finally {
    await server.stop();
  }
});
