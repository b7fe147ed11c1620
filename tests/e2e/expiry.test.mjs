// A token that has really expired: its second, and the half minute by which clocks may differ.
// This file runs beside the other one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { EXAMPLES, Server, next } from "./support.mjs";

describe("both examples at the same time", { concurrency: true }, () => {
  for (const example of EXAMPLES) {
    test(`the ${example} example refuses an expired token, and takes a fresh one on reconnect`, async () => {
      const server = await Server.start(example, { TOKEN_TTL: "1" });
      try {
        const cookie = await server.login("Ann");
        const token = await server.token(cookie);
        const fresh = async (send) => send({ token: await server.token(cookie) });
        const options = { auth: fresh, reconnection: true, reconnectionDelay: 10 };
        const { socket } = await server.connect("/", options);
        await server.connect("/", { auth: { token } });

        let refused;
        for (const begun = Date.now(); !refused && Date.now() - begun < 60_000; await pause(500)) {
          refused = await server.connect("/", { query: { token } }).then(
            (again) => void again.socket.disconnect(),
            (error) => error.message,
          );
        }
        assert.equal(refused, "refused: NO_SESSION");
        await server.logged(/the credential has expired/);

        const again = next(socket, "session");
        socket.io.engine.close();
        assert.deepEqual(await again, [{ name: "Ann", visits: 0 }]);
      } finally {
        await server.stop();
      }
    });
  }
});
