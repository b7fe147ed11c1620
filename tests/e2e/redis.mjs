// A Redis server of one's own.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { soon } from "./support.mjs";

export async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}

/** A port of a node of a cluster, which has another one 10,000 above it. */
async function clusterPort() {
  for (;;) {
    const port = await freePort();
    if (port < 50_000) return port;
  }
}

export class Redis {
  constructor(port) {
    this.port = port;
  }

  /** With further settings, as arguments. */
  async start(...settings) {
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...settings];
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

/** A cluster of three masters. */
export class Cluster {
  async start() {
    const folder = mkdtempSync(join(tmpdir(), "session-cluster-"));
    this.folder = folder;
    this.masters = [];
    for (let nth = 0; nth < 3; nth += 1) {
      const master = new Redis(await clusterPort());
      this.masters.push(master);
      const nodes = `nodes-${master.port}.conf`;
      await master.start("--dir", folder, "--cluster-enabled", "yes", "--cluster-config-file", nodes);
    }
    const addresses = this.masters.map(({ port }) => `127.0.0.1:${port}`);
    const args = ["--cluster", "create", ...addresses, "--cluster-yes"];
    execFileSync("redis-cli", args, { stdio: "pipe", timeout: 60_000 });
    const isReady = (master) => master.cli("CLUSTER", "INFO").includes("cluster_state:ok");
    await soon((async () => {
      while (!this.masters.every(isReady)) await pause(50);
    })(), "the cluster");
  }

  get url() {
    return `redis-cluster://127.0.0.1:${this.masters[0].port}`;
  }

  async kill() {
    for (const master of this.masters) await master.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
