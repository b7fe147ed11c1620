// A server that is stopped and started again: its clients come back by themselves.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Redis, freePort } from "./redis.mjs";
import { Server, TRANSPORTS, next, upgraded } from "./support.mjs";

describe("clients of a server that is stopped", () => {
  const redis = new Redis();
  before(() => redis.start());
  after(() => redis.kill());

  const REDIS_URL = () => `redis://127.0.0.1:${redis.port}`;
  const SESSION_KEY = Buffer.alloc(32, 7).toString("base64");
  const APP_ORIGIN = "http://app.example";

  /** The environment of each example, and the client that its namespace admits. */
  const EXAMPLES = {
    axum: {
      env: () => ({ SESSION_KEY, REDIS_URL: REDIS_URL() }),
      namespace: "/",
      client: async (server) => ({ cookie: await server.login("Ann") }),
      session: { name: "Ann", visits: 0 },
    },
    // Its sessions are gone with its memory.
    hyper: { env: () => ({}), namespace: "/lobby", client: () => ({}), session: { name: null } },
    express: {
      env: () => ({ REDIS_URL: REDIS_URL(), APP_ORIGIN }),
      namespace: "/",
      client: async (server) => {
        const headers = { origin: APP_ORIGIN };
        const answer = await server.fetch("POST", "/guest", { headers });
        return { cookie: answer.headers.get("set-cookie").split(";")[0], headers };
      },
      session: { name: "Guest", motto: "", visits: 0 },
    },
  };

  /** Ctrl-C, and the signal of Docker, Kubernetes and systemd. */
  const SIGNALS = ["SIGINT", "SIGTERM"];

  for (const [example, { env, namespace, client, session }] of Object.entries(EXAMPLES)) {
    for (const signal of SIGNALS) {
      test(`after ${signal}, they see \`transport close\`, and come back to the ${example} example`, async (t) => {
        const PORT = `${await freePort()}`;
        const first = await Server.start(example, { PORT, ...env() });
        // Its clients would try again for ever.
        t.after(() => first.stop());
        const credentials = await client(first);
        const sockets = [];
        for (const transports of Object.values(TRANSPORTS)) {
          const reconnects = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 200 };
          const connected = await first.connect(namespace, { ...credentials, ...reconnects, transports });
          assert.deepEqual(connected.session, session);
          sockets.push(connected.socket);
          if (transports.length > 1) await upgraded(connected.socket);
        }
        const closed = sockets.map((socket) => next(socket, "disconnect"));
        assert.equal(await first.interrupt(signal), 0);
        const reasons = (await Promise.all(closed)).map(([reason]) => reason);
        assert.equal(reasons[Object.keys(TRANSPORTS).indexOf("websocket")], "transport close");
        // A client between two polls finds the server gone.
        for (const reason of reasons) assert.match(reason, /^transport (close|error)$/);
        const again = sockets.map((socket) => next(socket, "session"));
        const second = await Server.start(example, { PORT, ...env() });
        second.sockets = sockets;
        t.after(() => second.stop());
        for (const came of await Promise.all(again)) assert.deepEqual(came, [session]);
        assert.equal(await second.stop(), 0);
      });
    }
  }
});
