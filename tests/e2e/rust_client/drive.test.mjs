// `rust_socketio` against both examples: tests/e2e/rust_client, built by tests/run.sh.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { EXAMPLES, Server, TARGET, TRANSPORTS } from "../support.mjs";

const run = promisify(execFile);

for (const example of EXAMPLES) {
  test(`the Rust client gets into the ${example} example with a cookie and with a token`, async () => {
    const server = await Server.start(example);
    try {
      const cookie = await server.login("Ann");
      const client = `${TARGET}/rust_client/debug/rust-client`;
      const { stdout } = await run(client, [server.url, cookie, await server.token(cookie)], { timeout: 120_000 });
      const lines = Object.keys(TRANSPORTS).map((name) => `${name}: a cookie, a token, and refusals\n`);
      assert.equal(stdout, lines.join(""));
    } finally {
      await server.stop();
    }
  });
}
