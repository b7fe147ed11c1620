// Starts an example, talks HTTP to it as a browser would, and opens Socket.IO connections.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { io } from "socket.io-client";

const DEADLINE = 60_000;

/** Where cargo puts what it builds. */
export const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../target", import.meta.url));

export const EXAMPLES = ["axum", "hyper"];

/** Logs each rejection, too. */
export const RUST_LOG = "info,socketioxide_session=debug";

export const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  "polling with upgrade": ["polling", "websocket"],
};

/** Rejects when `promise` takes longer than any working server does. */
export function soon(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`never came: ${what}`)), DEADLINE);
    // The server that is waited for keeps the process alive; a timer that is no longer needed must not.
    timer.unref();
  });
  const outcome = Promise.race([promise, late]).finally(() => clearTimeout(timer));
  // A test that has failed before it awaits this must not fail the next one, too.
  outcome.catch(() => {});
  return outcome;
}

/** Looks again and again until `look` gives something true; gives that. */
export async function until(look, what, interval = 20) {
  let isLate = false;
  const looking = (async () => {
    for (;;) {
      const seen = await look();
      if (seen || isLate) return seen;
      await pause(interval);
    }
  })();
  try {
    return await soon(looking, what);
  } finally {
    // Else it would keep the process alive after a failure.
    isLate = true;
  }
}

/** The arguments of the next event of this name. */
export function next(socket, event) {
  return soon(new Promise((resolve) => socket.once(event, (...args) => resolve(args))), event);
}

/**
 * The end of the move from polling to WebSocket. When the server goes in the middle of it, the client pauses
 * its polling for good and notices with the ping timeout, after 45 seconds.
 */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name === "websocket") return;
  await soon(new Promise((resolve) => engine.once("upgrade", resolve)), "upgrade");
}

/** An acknowledged event. */
export function ask(socket, event) {
  return socket.timeout(DEADLINE).emitWithAck(event);
}

/** Whether a child process has ended. */
export function hasEnded({ exitCode, signalCode }) {
  return exitCode !== null || signalCode !== null;
}

export class Server {
  static start(example, env) {
    return Server.run(`${TARGET}/debug/examples/${example}`, env);
  }

  /** Starts a program that prints where it listens. */
  static async run(program, env = {}) {
    const server = new Server();
    server.process = spawn(program, {
      env: { ...process.env, PORT: "0", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    server.log = "";
    server.process.stderr.on("data", (chunk) => (server.log += chunk));
    server.sockets = [];
    const lines = createInterface({ input: server.process.stdout });
    const listens = new Promise((resolve) => {
      lines.on("line", (line) => {
        const url = line.match(/^listening on (http:\/\/127\.0\.0\.1:\d+)$/)?.[1];
        if (url) resolve(url);
      });
    });
    server.url = await soon(listens, "the line that says where it listens").catch((error) => {
      server.process.kill("SIGKILL");
      throw error;
    });
    return server;
  }

  /** Waits until the log says this. */
  async logged(pattern) {
    const said = new Promise((resolve) => {
      const look = () => pattern.test(this.log) && resolve();
      this.process.stderr.on("data", look);
      look();
    });
    await soon(said, `${pattern} in the log`);
  }

  /** Ends it with Ctrl-C, unless it has ended; gives the exit code. */
  async stop() {
    for (const socket of this.sockets) socket.disconnect();
    const { exitCode, signalCode } = this.process;
    return hasEnded(this.process) ? (signalCode ?? exitCode) : this.interrupt();
  }

  /** Ends it by a signal; gives the exit code. */
  async interrupt(by = "SIGINT") {
    const exited = once(this.process, "exit");
    this.process.kill(by);
    const [code, signal] = await soon(exited, "the end of the server").catch((error) => {
      this.process.kill("SIGKILL");
      throw error;
    });
    return signal ?? code;
  }

  /** An HTTP request without following redirects. */
  fetch(method, path, { cookie, form, headers = {} } = {}) {
    return fetch(this.url + path, {
      method,
      redirect: "manual",
      headers: { ...(cookie && { cookie }), ...headers },
      body: form && new URLSearchParams(form),
    });
  }

  /** Signs in; gives the cookie as a browser sends it back. */
  async login(name, cookie) {
    const answer = await this.fetch("POST", "/login", { cookie, form: { name } });
    if (answer.status !== 303) throw new Error(`/login answered ${answer.status}`);
    return answer.headers.get("set-cookie").split(";")[0];
  }

  async token(cookie) {
    const answer = await this.fetch("POST", "/token", { cookie });
    return (await answer.json()).token;
  }

  /** A Socket.IO connection, closed with the server. Listen before it connects. */
  socket(namespace, { cookie, headers = {}, ...options } = {}) {
    const socket = io(this.url + namespace, {
      forceNew: true,
      reconnection: false,
      // Not copied: a test may change them later, as a browser's cookies change.
      extraHeaders: cookie ? Object.assign(headers, { cookie }) : headers,
      ...options,
    });
    this.sockets.push(socket);
    return socket;
  }

  /** Connects, and gives the socket with what came as `session`. */
  async connect(namespace, options) {
    const socket = this.socket(namespace, options);
    const refused = next(socket, "connect_error").then(([error]) => {
      throw new Error(`refused: ${error.message}`);
    });
    const [session] = await Promise.race([next(socket, "session"), refused]);
    refused.catch(() => {});
    return { socket, session };
  }

  /** Connects, is refused, and gives the message. */
  async refused(namespace, options) {
    const socket = this.socket(namespace, options);
    const connected = next(socket, "connect").then(() => {
      throw new Error("connected");
    });
    const [error] = await Promise.race([next(socket, "connect_error"), connected]);
    connected.catch(() => {});
    socket.disconnect();
    return error.message;
  }
}
