// A token that has really expired: its second, and the half minute by which clocks may differ.
// This file runs beside the other one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { WebSocket } from "ws";
import { EXAMPLES, RUST_LOG, Server, ask, next, soon } from "./support.mjs";

/** Whether the server would let this WebSocket take over its polling transport. */
async function upgrades(url) {
  const socket = new WebSocket(url);
  const answer = new Promise((resolve) => {
    socket.on("open", () => socket.send("2probe"));
    socket.on("message", (data) => resolve(data.toString() === "3probe"));
    socket.on("close", () => resolve(false));
    socket.on("error", () => resolve(false));
  });
  const would = await soon(answer, "an answer to the probe");
  socket.terminate();
  return would;
}

describe("both examples at the same time", { concurrency: true }, () => {
  for (const example of EXAMPLES) {
    test(`the ${example} example refuses an expired token, and takes a fresh one on reconnect`, async () => {
      const server = await Server.start(example, { TOKEN_TTL: "1", RUST_LOG });
      try {
        const cookie = await server.login("Ann");
        const token = await server.token(cookie);
        const fresh = async (send) => send({ token: await server.token(cookie) });
        // It polls with its token in the URL, and lives on when that has expired.
        const polls = { query: { token }, transports: ["polling"] };
        const polling = await server.connect("/", polls);
        const { id } = polling.socket;
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

        assert.deepEqual(await ask(polling.socket, "visit"), { visits: 1 });
        const sid = polling.socket.io.engine.id;
        const target = `${server.url}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
        const stranger = await fetch(target, { method: "POST", body: '42["visit"]' });
        assert.equal(stranger.status, 400);
        const upgrade = target.replace("http", "ws").replace("polling", "websocket");
        assert.ok(!(await upgrades(upgrade)));
        assert.equal(polling.socket.id, id);
        assert.deepEqual(await ask(polling.socket, "visit"), { visits: 2 });
        assert.ok(await upgrades(`${upgrade}&token=${token}`));

        const again = next(socket, "session");
        socket.io.engine.close();
        assert.deepEqual(await again, [{ name: "Ann", visits: 2 }]);
      } finally {
        await server.stop();
      }
    });
  }
});
