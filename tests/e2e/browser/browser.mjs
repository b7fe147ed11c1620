// A headless Chromium with a new profile, in which the example page finds its Socket.IO client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { TARGET } from "../support.mjs";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

const CLIENT = fileURLToPath(new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url));

/** Hosts that exist in this browser alone: each is this machine. */
const HOSTS = ["app.example.test", "sockets.example.test", "evil.example.test", "evil.test"];

export function launch() {
  if (!existsSync(EXECUTABLE)) throw new Error(`no browser at ${EXECUTABLE}: install the package chromium`);
  const rules = HOSTS.map((host) => `MAP ${host} 127.0.0.1`).join(", ");
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-sync",
      `--host-resolver-rules=${rules}`,
    ],
  });
}

/** A browser profile of its own: its tabs share their cookies. Nothing is loaded from the internet. */
export async function profile(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(30_000);
  await context.route(/^https:/, (route) => route.abort());
  await context.route("https://cdn.socket.io/*/socket.io.min.js", (route) =>
    route.fulfill({ path: CLIENT, headers: { "access-control-allow-origin": "*", "content-type": "text/javascript" } }),
  );
  return context;
}

/** The page at `url`, in a new tab. */
export async function tab(context, url) {
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.message));
  await page.goto(url);
  return page;
}

/** Waits until the page is in this state; `text` is what it says then. */
export async function inState(page, state, text = "") {
  await page.locator(`#status[data-state="${state}"]`, { hasText: text }).waitFor();
}

/**
 * A web server with a page that has the Socket.IO client and nothing else. A real one, because browsers
 * keep a page that came from elsewhere away from servers on this machine.
 */
export class ForeignSite {
  async start() {
    this.server = createServer((_, answer) => {
      answer.setHeader("content-type", "text/html");
      answer.end('<!doctype html><script src="https://cdn.socket.io/4.8.1/socket.io.min.js"></script>');
    });
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
  }

  url(host) {
    return `http://${host}:${this.server.address().port}/`;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** Opens a Socket.IO connection in `page`; gives the session that came, or why none did. */
export function open(page, url, options) {
  return page.evaluate(
    ([url, options]) =>
      new Promise((resolve) => {
        const socket = io(url, { forceNew: true, reconnection: false, withCredentials: true, ...options });
        const done = (result) => (socket.disconnect(), resolve(result));
        socket.once("session", (session) => done({ session }));
        socket.once("connect_error", (error) => done({ refused: error.message }));
      }),
    [url, options],
  );
}

export async function signIn(page, name) {
  await page.fill("#signed-out input", name);
  await page.click("#signed-out button");
  await inState(page, "connected", `Connected as ${name}.`);
}

/** The page has its style: the background of the color scheme. */
export async function assertStyled(page) {
  const [color, dark] = await page.evaluate(() => [
    getComputedStyle(document.body).backgroundColor,
    matchMedia("(prefers-color-scheme: dark)").matches,
  ]);
  assert.equal(color, dark ? "rgb(21, 22, 26)" : "rgb(245, 245, 247)");
}

/** A screenshot for review, below `target/`. */
export async function picture(page, name) {
  const folder = `${TARGET}/screenshots`;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png` });
}
