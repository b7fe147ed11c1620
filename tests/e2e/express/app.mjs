// A real Express app for the tests: the requests that a test needs to time, beside the usual ones.
// EXPRESS_MODULES names the folder whose node_modules are used: those of the example, if not set.

import { once } from "node:events";
import { createRequire } from "node:module";

const folder = process.env.EXPRESS_MODULES ?? new URL("../../../examples/express/", import.meta.url).pathname;
const require = createRequire(`${folder.replace(/\/$/, "")}/package.json`);
const [express, session, { RedisStore }, { createClient }] = ["express", "express-session", "connect-redis", "redis"].map(require);

export const SECRET = "of the tests";
export const versions = ["express", "connect-redis"].map((name) => {
  const { version } = require(`${folder.replace(/\/$/, "")}/node_modules/${name}/package.json`);
  return `${name} ${version}`;
}).join(", ");

/** Calls a method of express-session that takes a callback. */
const done = (session, method) =>
  new Promise((resolve, reject) => session[method]((error) => (error ? reject(error) : resolve())));

/** A request that holds the session which it has loaded, until it is released. */
class Held {
  constructor() {
    this.loaded = new Promise((resolve) => (this.load = resolve));
    this.released = new Promise((resolve) => (this.release = resolve));
  }
}

export class App {
  static async start(redisPort, cookie = { sameSite: "lax" }) {
    const app = new App();
    app.redis = await createClient({ url: `redis://127.0.0.1:${redisPort}` }).connect();
    app.held = new Map();
    app.destroyedAt = 0;
    app.server = app.routes(cookie).listen(0, "127.0.0.1");
    await once(app.server, "listening");
    app.url = `http://127.0.0.1:${app.server.address().port}`;
    return app;
  }

  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await this.redis.disconnect();
  }

  routes(cookie) {
    const app = express();
    // Before the session is loaded: MONITOR shows where a request began.
    app.use("/count/:n", async (req, res, next) => {
      await this.redis.sendCommand(["ECHO", `begun ${req.params.n}`]);
      next();
    });
    app.use(session({
      store: new RedisStore({ client: this.redis }),
      secret: SECRET,
      resave: false,
      saveUninitialized: false,
      cookie,
    }));
    app.use(express.json());

    const route = (path, handle) => app.post(path, (req, res, next) =>
      Promise.resolve(handle(req, res)).then(() => res.headersSent || res.json(req.session ?? null), next));

    app.get("/me", (req, res) => res.json({ ...req.session, id: req.sessionID }));
    route("/login", async (req) => {
      await done(req.session, "regenerate");
      Object.assign(req.session, req.body);
    });
    route("/save", (req) => void Object.assign(req.session, req.body));
    route("/renew", async (req) => {
      const { user } = req.session;
      await done(req.session, "regenerate");
      req.session.user = user;
    });
    route("/logout", async (req) => {
      this.destroyedAt = performance.now();
      await done(req.session, "destroy");
    });
    // As passport's `logOut`: an empty `passport` is saved, then the session is regenerated.
    route("/passport-logout", async (req) => {
      req.session.passport = {};
      await done(req.session, "save");
      await this.wait("passport-logout");
      await done(req.session, "regenerate");
    });
    route("/count/:n", async (req) => {
      req.session.last = Number(req.params.n);
      req.session[`c${req.params.n}`] = true;
    });
    route("/slow/:name", async (req) => {
      await this.wait(req.params.name);
      req.session.slow = req.params.name;
    });
    return app;
  }

  /** The next request that calls `wait` with this name. */
  hold(name) {
    const held = new Held();
    this.held.set(name, held);
    return held;
  }

  async wait(name) {
    const held = this.held.get(name);
    held?.load();
    await held?.released;
  }

  /** A request as a browser sends it; gives the answer, its body and the cookie, if it sets one. */
  async fetch(method, path, { cookie, json } = {}) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...(cookie && { cookie }), ...(json && { "content-type": "application/json" }) },
      body: json && JSON.stringify(json),
    });
    const body = await answer.json().catch(() => undefined);
    return { status: answer.status, body, cookie: answer.headers.get("set-cookie")?.split(";")[0] };
  }

  async login(session) {
    const { status, cookie } = await this.fetch("POST", "/login", { json: session });
    if (status !== 200 || !cookie) throw new Error(`/login answered ${status}`);
    return cookie;
  }
}

/** The id in a cookie: `connect.sid=s%3A<id>.<signature>`. */
export const idOf = (cookie) => decodeURIComponent(cookie).match(/^connect\.sid=s:(.+)\.[^.]+$/)[1];
export const keyOf = (cookie) => `sess:${idOf(cookie)}`;
