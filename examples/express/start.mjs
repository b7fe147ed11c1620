// Starts the app, the socket server, and a Redis server of their own unless REDIS_URL names one. All of
// them end with the first that ends, and with Ctrl-C.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const {
  PORT = "3000",
  SOCKETS_PORT = "3001",
  REDIS_PORT = "6390",
  SOCKET_SERVER, // its executable; unset: cargo builds it
} = process.env;

const folder = (path) => fileURLToPath(new URL(path, import.meta.url));
const children = [];

const start = (command, args, env = {}) => {
  const child = spawn(command, args, {
    cwd: folder("."),
    env: { ...process.env, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  child.on("error", (error) => {
    console.error(`${command}: ${error.message}`);
    stop(1);
  });
  child.on("exit", (code) => stop(code ?? 1));
  children.push(child);
};

const stop = (code) => {
  process.exitCode ??= code;
  for (const child of children) child.kill("SIGINT");
};

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop(0));

let REDIS_URL = process.env.REDIS_URL;
if (!REDIS_URL) {
  const options = ["--port", REDIS_PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loglevel", "warning"];
  start("redis-server", options);
  REDIS_URL = `redis://127.0.0.1:${REDIS_PORT}`;
}

const sockets = { PORT: SOCKETS_PORT, APP_ORIGIN: `http://localhost:${PORT}`, REDIS_URL };
if (SOCKET_SERVER) start(SOCKET_SERVER, [], sockets);
else start("cargo", ["run", "--quiet", "--example", "express", "--features", "redis"], sockets);

start(process.execPath, ["app.mjs"], { PORT, SOCKETS_ORIGIN: `http://localhost:${SOCKETS_PORT}`, REDIS_URL });
