// The tabs of a browser come back by themselves after a sign-in, with the page's own code.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Redis } from "../redis.mjs";
import { Server } from "../support.mjs";
import { inState, launch, profile, signIn, tab } from "./browser.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 200);
const BROWSERS = 4;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** Signs in again and again in the first tab; gives how often a tab did not come back. */
async function rounds(here, there, count) {
  const context = await profile(browser);
  const one = await tab(context, here.url);
  await signIn(one, "Ann");
  const two = await tab(context, there.url);
  await inState(two, "connected", "Connected as Ann.");
  let lost = 0;
  for (let round = 0; round < count; round += 1) {
    const name = `Ann${round}`;
    // As a page does that stays where it is.
    await one.evaluate((name) => fetch("/login", { method: "POST", body: new URLSearchParams({ name }) }), name);
    for (const page of [one, two]) {
      try {
        await inState(page, "connected", `Connected as ${name}.`);
      } catch {
        lost += 1;
        await page.reload();
      }
    }
  }
  await context.close();
  return lost;
}

async function allRounds(t, here, there) {
  const each = Array.from({ length: BROWSERS }, () => rounds(here, there, ROUNDS / BROWSERS));
  const lost = (await Promise.all(each)).reduce((sum, lost) => sum + lost);
  const logs = [...new Set([here, there])].map((server) => server.log).join("");
  const refused = logs.match(/NO_SESSION/g)?.length ?? 0;
  t.diagnostic(`${lost} of ${2 * ROUNDS} did not come back; ${refused} needed a second attempt`);
  assert.equal(lost, 0);
}

test(`${ROUNDS} sign-ins with two tabs open, sessions in memory`, async (t) => {
  const server = await Server.start("axum");
  try {
    await allRounds(t, server, server);
  } finally {
    await server.stop();
  }
});

test(`${ROUNDS} sign-ins with two tabs open, sessions in Redis, each tab on a node of its own`, async (t) => {
  const redis = new Redis();
  await redis.start();
  const env = { SESSION_KEY: Buffer.alloc(32, 7).toString("base64"), REDIS_URL: `redis://127.0.0.1:${redis.port}` };
  // One cookie for both: a browser's cookies are those of a host, whatever the port.
  const nodes = [await Server.start("axum", env), await Server.start("axum", env)];
  try {
    await allRounds(t, ...nodes);
  } finally {
    for (const node of nodes) await node.stop();
    await redis.kill();
  }
});
