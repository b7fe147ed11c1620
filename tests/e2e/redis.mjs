// A Redis server of one's own.

import { execFileSync, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasEnded, until } from "./support.mjs";

/** Those that this process has handed out: they may not be in use yet. */
const given = new Set();

async function isFree(port) {
  const probe = createServer().listen(port, "127.0.0.1");
  try {
    await once(probe, "listening");
  } catch {
    return false;
  }
  probe.close();
  await once(probe, "close");
  return true;
}

/**
 * A port that is free, and so are those that lie so far above it. It is below the range from which the system
 * gives ports to sockets that name none, and above 10080, which browsers refuse.
 */
export async function freePort(...above) {
  for (;;) {
    const port = randomInt(10_100, 22_000);
    const areFree = await Promise.all([0, ...above].map((far) => isFree(port + far)));
    if (given.has(port) || areFree.includes(false)) continue;
    given.add(port);
    return port;
  }
}

export class Redis {
  /** Without a port, it takes one when it starts for the first time. */
  constructor(port) {
    this.port = port;
  }

  freePort() {
    return freePort();
  }

  /** With further settings, as arguments. */
  async start(...settings) {
    const { port } = this;
    const run = async () => {
      this.port = port ?? (await this.freePort());
      const args = ["--port", this.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...settings];
      this.process = spawn(process.env.REDIS_SERVER ?? "redis-server", args, { stdio: "ignore" });
    };
    await run();
    await until(async () => {
      // Another program has taken its port.
      if (hasEnded(this.process)) await run();
      return this.answers();
    }, "Redis");
  }

  /** Whether a server answers, and is this one. */
  answers() {
    try {
      const id = this.cli("INFO", "server").match(/^process_id:(\d+)/m)?.[1];
      return Number(id) === this.process.pid;
    } catch {
      return false;
    }
  }

  cli(...args) {
    return execFileSync("redis-cli", ["-p", this.port, ...args], { encoding: "utf8", stdio: "pipe", timeout: 30_000 }).trim();
  }

  /** The commands that the server gets while `action` runs, as `MONITOR` prints them. */
  async commands(action) {
    const monitor = spawn("redis-cli", ["-p", this.port, "MONITOR"], { stdio: ["ignore", "pipe", "ignore"] });
    const gone = once(monitor, "exit");
    let printed = "";
    monitor.stdout.setEncoding("utf8").on("data", (text) => (printed += text));
    try {
      await until(() => printed.includes("OK"), "MONITOR", 5);
      await action();
      this.cli("ECHO", "the end of the action");
      await until(() => printed.includes("the end of the action"), "the last command", 5);
    } finally {
      monitor.kill();
      await gone;
    }
    return printed.split("\n").filter((line) => line.includes("]"));
  }

  async kill() {
    if (hasEnded(this.process)) return;
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }
}

class Master extends Redis {
  /** The nodes of a cluster talk to each other at a port 10,000 above that of the clients. */
  freePort() {
    return freePort(10_000);
  }
}

/** A cluster of three masters. */
export class Cluster {
  async start() {
    const folder = mkdtempSync(join(tmpdir(), "session-cluster-"));
    this.folder = folder;
    this.masters = [];
    for (let nth = 0; nth < 3; nth += 1) {
      const master = new Master();
      this.masters.push(master);
      const nodes = `nodes-${nth}.conf`;
      await master.start("--dir", folder, "--cluster-enabled", "yes", "--cluster-config-file", nodes);
    }
    const addresses = this.masters.map(({ port }) => `127.0.0.1:${port}`);
    const args = ["--cluster", "create", ...addresses, "--cluster-yes"];
    execFileSync("redis-cli", args, { stdio: "pipe", timeout: 60_000 });
    const isReady = (master) => master.cli("CLUSTER", "INFO").includes("cluster_state:ok");
    await until(() => this.masters.every(isReady), "the cluster", 50);
  }

  get url() {
    return `redis-cluster://127.0.0.1:${this.masters[0].port}`;
  }

  async kill() {
    for (const master of this.masters) await master.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
