// An app as many are: its sessions are express-session's, and connect-redis keeps them.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const {
  PORT = "3000",
  SOCKETS_ORIGIN = "http://localhost:3001",
  REDIS_URL = "redis://127.0.0.1:6379",
  SESSION_SECRET = "keyboard cat",
} = process.env;

const redis = createClient({ url: REDIS_URL });
redis.on("error", (error) => console.error(`Redis: ${error.message}`));
await redis.connect();

const app = express();
app.use(session({
  store: new RedisStore({ client: redis }),
  secret: SESSION_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { sameSite: "lax" },
}));
app.use(express.urlencoded({ extended: false }));

const page = readFileSync(new URL("page.html", import.meta.url), "utf8");
app.get("/", (req, res) => res.send(page.replaceAll("{{sockets}}", SOCKETS_ORIGIN)));
app.get("/style.css", (req, res) => res.sendFile(fileURLToPath(new URL("../shared/style.css", import.meta.url))));
const client = new URL("dist/socket.io.min.js", import.meta.resolve("socket.io-client/package.json"));
app.get("/socket.io.min.js", (req, res) => res.sendFile(fileURLToPath(client)));

app.get("/me", ({ session }, res) => res.json(session.user ?? null));

app.post("/login", (req, res, next) => {
  const name = req.body?.name?.trim();
  if (!name) return res.sendStatus(400);
  req.session.regenerate((error) => {
    if (error) return next(error);
    req.session.user = { name };
    res.redirect("/");
  });
});

// A new id for the same user, as after a new password: the sockets of the old id end.
app.post("/renew", (req, res, next) => {
  const { user } = req.session;
  req.session.regenerate((error) => {
    if (error) return next(error);
    if (user) req.session.user = user;
    res.redirect("/");
  });
});

// Sockets see the change.
app.post("/profile", (req, res) => {
  const { user } = req.session;
  if (!user) return res.sendStatus(401);
  user.motto = req.body?.motto ?? "";
  res.redirect("/");
});

// The sockets of the session end.
app.post("/logout", (req, res, next) => {
  req.session.destroy((error) => {
    if (error) return next(error);
    res.clearCookie("connect.sid", { sameSite: "lax" }).redirect("/");
  });
});

const server = app.listen(Number(PORT), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`open http://localhost:${server.address().port}`);
});
