// socket.io with express-session: the same session, the same event, the same orders as the other
// servers (see src/server/mod.rs).

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createHmac, randomBytes } from "node:crypto";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { Server } from "socket.io";

const [kind, count] = [process.argv[2], Number(process.argv[3])];
const secret = "a secret of the benchmark";

let store = new session.MemoryStore();
if (kind === "express-redis") {
  const client = createClient({ url: process.env.REDIS_URL });
  await client.connect();
  store = new RedisStore({ client, ttl: 86400 });
}

const user = (n) => {
  const five = String(n).padStart(5, "0");
  return {
    id: n,
    name: `Ann Example ${five}`,
    email: `ann.example.${five}@example.com`,
    roles: ["reader", "writer", "moderator"],
    visits: 7,
    note: "x".repeat(92),
  };
};

const app = express();
const sessions = session({ secret, store, resave: false, saveUninitialized: false });
app.use(sessions);
const server = createServer(app);
const io = new Server(server, { transports: ["websocket"] });
io.engine.use(sessions);
io.use((socket, next) => {
  const signedIn = socket.request.session?.user;
  next(signedIn ? undefined : new Error("NO_SESSION"));
});
io.on("connection", (socket) => {
  socket.emit("hello", socket.request.session.user.name);
});

const lines = [];
for (let n = 0; n < count; n += 1) {
  const id = randomBytes(24).toString("base64url");
  const data = { cookie: { originalMaxAge: 86400000, path: "/", httpOnly: true }, user: user(n) };
  data.cookie.expires = new Date(Date.now() + 86400000).toISOString();
  await new Promise((done, failed) => store.set(id, data, (error) => (error ? failed(error) : done())));
  const mac = createHmac("sha256", secret).update(id).digest("base64").replace(/=+$/, "");
  lines.push(`cookie connect.sid=${encodeURIComponent(`s:${id}.${mac}`)}`);
}
server.listen(0, "127.0.0.1", () => {
  lines.push(`port ${server.address().port}`, "ready");
  process.stdout.write(`${lines.join("\n")}\n`);
});

const orders = createInterface({ input: process.stdin });
orders.on("line", (line) => {
  if (line === "usage") {
    const { user, system } = process.cpuUsage();
    process.stdout.write(`usage ${user} ${system}\n`);
  }
});
orders.on("close", () => process.exit(0));
