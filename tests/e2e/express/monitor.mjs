// The commands that a Redis server executes, in their order.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Redis } from "../redis.mjs";
import { soon } from "../support.mjs";

export class Monitor {
  static async start(port) {
    const monitor = new Monitor();
    monitor.redis = new Redis(port);
    monitor.process = spawn("redis-cli", ["-p", port, "MONITOR"], { stdio: ["ignore", "pipe", "ignore"] });
    monitor.seen = [];
    const lines = createInterface({ input: monitor.process.stdout });
    await soon(once(lines, "line"), "OK");
    lines.on("line", (line) => monitor.seen.push(parsed(line)));
    monitor.lines = lines;
    return monitor;
  }

  /** Ends it when all so far was seen; gives `{ byScript, command }` of each. */
  async stop() {
    const mark = `seen ${Math.random()}`;
    const marked = new Promise((resolve) => {
      const look = () => this.seen.some(({ command }) => command[1] === mark) && resolve();
      this.lines.on("line", look);
    });
    this.redis.cli("ECHO", mark);
    await soon(marked, "the end of what the server executes");
    const exited = once(this.process, "exit");
    this.process.kill();
    await exited;
    return this.seen;
  }
}

/** `1764.1 [0 127.0.0.1:5]` or `[0 lua]`, then the arguments, quoted with `\"` and `\xff`. */
function parsed(line) {
  const [, client, rest] = line.match(/^[\d.]+ \[\d+ ([^\]]+)\] (.*)$/);
  const quoted = rest.match(/"(?:[^"\\]|\\.)*"/g);
  const bytes = (text) => JSON.parse(text.replace(/\\x([0-9a-f]{2})/g, "\\u00$1"));
  const command = quoted.map((text) => Buffer.from(bytes(text), "latin1").toString());
  return { byScript: client === "lua", command: [command[0].toUpperCase(), ...command.slice(1)] };
}
