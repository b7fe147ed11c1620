// A Redis server of one's own.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { soon } from "./support.mjs";

export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}

export class Redis {
  constructor(port) {
    this.port = port;
  }

  async start() {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.process = spawn(process.env.REDIS_SERVER ?? "redis-server", args, { stdio: "ignore" });
    await soon((async () => {
      while (this.cli("PING") !== "PONG") await pause(20);
    })(), "Redis");
  }

  cli(...args) {
    try {
      return execFileSync("redis-cli", ["-p", this.port, ...args], { encoding: "utf8", stdio: "pipe", timeout: 2_000 }).trim();
    } catch {
      return "";
    }
  }

  /** The commands that the server gets while `action` runs, as `MONITOR` prints them. */
  async commands(action) {
    const monitor = spawn("redis-cli", ["-p", this.port, "MONITOR"], { stdio: ["ignore", "pipe", "ignore"] });
    const gone = once(monitor, "exit");
    let printed = "";
    monitor.stdout.setEncoding("utf8").on("data", (text) => (printed += text));
    const shows = async (text) => {
      while (!printed.includes(text)) await pause(5);
    };
    try {
      await soon(shows("OK"), "MONITOR");
      await action();
      this.cli("ECHO", "the end of the action");
      await soon(shows("the end of the action"), "the last command");
    } finally {
      monitor.kill();
      await gone;
    }
    return printed.split("\n").filter((line) => line.includes("]"));
  }

  async kill() {
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }
}
