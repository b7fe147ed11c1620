//! Commands at Redis.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::Duration,
};

use http::{Request, request::Parts};
use socketioxide_session::{
    RedisStore, Session, SessionBridge, SignedCookie, extractor::Handshake,
};

use crate::{
    counter::Alone,
    ports::free_port,
    user::{User, ann, cookie},
};

/// A server that ends with its handle.
struct Redis {
    port: u16,
    process: Child,
}

impl Redis {
    async fn start() -> Self {
        let port = free_port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: install it (Debian: apt-get install redis-server)");
        let server = Self { port, process };
        let own = format!("process_id:{}", server.process.id());
        let ready = async {
            while !server.cli(&["INFO", "server"]).contains(&own) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let ready = tokio::time::timeout(Duration::from_secs(30), ready).await;
        ready.expect("Redis is ready");
        server
    }

    /// A number of `INFO`.
    fn info(&self, name: &str) -> u64 {
        let info = self.cli(&["INFO", "everything"]);
        let found = info.lines().find_map(|line| {
            let number = line.strip_prefix(name)?.strip_prefix(':')?;
            number.trim().parse().ok()
        });
        found.unwrap_or_else(|| panic!("Redis shows no {name}"))
    }

    /// Number of times that the server has read from a connection of a client.
    fn reads(&self) -> u64 {
        self.info("total_reads_processed")
    }

    fn cli(&self, args: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli")
            .args(["-p", &port])
            .args(args)
            .output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The commands since the last time, of those that sessions cause.
    fn commands(&self) -> BTreeMap<String, u64> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let calls = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        let calls = calls.filter(|(name, _)| SESSION_COMMANDS.contains(&name.as_str()));
        let calls = calls.collect();
        self.cli(&["CONFIG", "RESETSTAT"]);
        calls
    }
}

/// Commands on keys. What keeps the connection up is not counted.
const SESSION_COMMANDS: [&str; 9] = [
    "get", "set", "pttl", "eval", "evalsha", "del", "pexpire", "exists", "mget",
];

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn bridge(redis: &Redis) -> (SessionBridge<User>, SignedCookie) {
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let cookie = cookie();
    let store = RedisStore::builder(&url).unwrap();
    // So rare that it is not counted.
    let store = store.heartbeat(Duration::from_hours(1)).unwrap();
    let store = store.connect().await.unwrap();
    let bridge = SessionBridge::builder(cookie.clone(), store).build();
    (bridge.unwrap(), cookie)
}

fn request(session: &Session<User>, cookie: &SignedCookie) -> Parts {
    let issued = cookie.issue(session.id());
    let cookie = format!("{}={}", issued.name(), issued.value());
    let request = Request::get("/").header("cookie", cookie).body(());
    request.unwrap().into_parts().0
}

/// Waits until what the bridge does at its start is over.
async fn settled(redis: &Redis) {
    let until_settled = async {
        redis.commands();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if redis.commands().is_empty() {
                return;
            }
        }
    };
    let until_settled = tokio::time::timeout(Duration::from_secs(30), until_settled).await;
    until_settled.expect("nothing is sent");
}

/// Of a session that is live and fresh: loaded since the feed is up, and watched.
async fn fresh(redis: &Redis, session: &Session<User>) {
    let watching = session.clone();
    tokio::spawn(async move { watching.ended().await });
    let until_fresh = async {
        loop {
            let _ = session.reload().await.unwrap();
            redis.commands();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if redis.commands().is_empty() {
                return;
            }
        }
    };
    let until_fresh = tokio::time::timeout(Duration::from_secs(30), until_fresh).await;
    until_fresh.expect("the session is fresh");
}

#[tokio::test]
async fn a_session_that_is_not_live_costs_one_load() {
    let _alone = Alone::begin_async().await;
    let redis = Redis::start().await;
    let (bridge, cookie) = bridge(&redis).await;
    let session = bridge.create(ann()).await.unwrap();
    let parts = request(&session, &cookie);
    drop(session);
    settled(&redis).await;
    for _ in 0..10 {
        let session = bridge.resolve(&Handshake::from_parts(&parts)).await;
        assert_eq!(*session.unwrap().data(), ann());
    }
    let expected = [("get".to_owned(), 10), ("pttl".to_owned(), 10)];
    assert_eq!(redis.commands(), BTreeMap::from(expected));
}

/// On one thread. On several, the task of the driver can take the first command before the second is
/// queued.
#[tokio::test]
async fn a_load_is_one_write() {
    let _alone = Alone::begin_async().await;
    let redis = Redis::start().await;
    let (bridge, cookie) = bridge(&redis).await;
    let session = bridge.create(ann()).await.unwrap();
    let parts = request(&session, &cookie);
    drop(session);
    settled(&redis).await;
    let number = 100;
    let before = redis.reads();
    for _ in 0..number {
        let session = bridge.resolve(&Handshake::from_parts(&parts)).await;
        assert_eq!(*session.unwrap().data(), ann());
    }
    let reads = redis.reads() - before;
    // The two connections that ask for the number are read, too.
    assert!(
        (number..number + 10).contains(&reads),
        "{reads} reads for {number} loads"
    );
}

#[tokio::test]
async fn a_session_that_is_live_and_fresh_costs_nothing() {
    let _alone = Alone::begin_async().await;
    let redis = Redis::start().await;
    let (bridge, cookie) = bridge(&redis).await;
    let session = bridge.create(ann()).await.unwrap();
    let parts = request(&session, &cookie);
    fresh(&redis, &session).await;
    for _ in 0..10 {
        let session = bridge.resolve(&Handshake::from_parts(&parts)).await;
        assert_eq!(*session.unwrap().data(), ann());
    }
    assert_eq!(redis.commands(), BTreeMap::new());
}

#[tokio::test]
async fn an_update_costs_one_script_and_one_load_after_its_report() {
    let _alone = Alone::begin_async().await;
    let redis = Redis::start().await;
    let (bridge, _) = bridge(&redis).await;
    let session = bridge.create(ann()).await.unwrap();
    fresh(&redis, &session).await;
    let _ = session.update(|user| user.name.push('e')).await.unwrap();
    // The report of the update leads to a load, which a further call waits for.
    let latest = session.reload().await.unwrap();
    assert_eq!(latest.data().name, "Anne");
    let commands = redis.commands();
    let scripts = commands.get("eval").or(commands.get("evalsha"));
    assert_eq!(scripts, Some(&1), "{commands:?}");
    assert!(commands["pttl"] <= 2, "{commands:?}");
}

/// Numbers that the section on sizes of `docs::nodes` calculates with.
#[tokio::test]
async fn ten_thousand_sessions_without_sockets_cost_the_server_its_tracking_table_only() {
    const NUMBER: u64 = 10_000;
    let _alone = Alone::begin_async().await;
    let redis = Redis::start().await;
    let (bridge, cookie) = bridge(&redis).await;
    let mut requests = Vec::new();
    for _ in 0..NUMBER {
        requests.push(request(&bridge.create(ann()).await.unwrap(), &cookie));
    }
    settled(&redis).await;
    let (tracked, memory) = (redis.info("tracking_total_keys"), redis.info("used_memory"));
    for parts in &requests {
        let _ = bridge.resolve(&Handshake::from_parts(parts)).await.unwrap();
    }
    let each = BTreeMap::from([("get".to_owned(), NUMBER), ("pttl".to_owned(), NUMBER)]);
    assert_eq!(redis.commands(), each);
    assert_eq!(redis.info("tracking_total_keys") - tracked, NUMBER);
    let bytes = (redis.info("used_memory") - memory) / NUMBER;
    eprintln!("{bytes} bytes of the server for each tracked session");
    assert!((50..250).contains(&bytes), "{bytes} bytes");
    // Each is touched by another program, and reported. None is live, so none is loaded.
    let touch_all = "for _, key in ipairs(redis.call('KEYS', 'session:*')) do \
                     redis.call('PEXPIRE', key, 7200000) end";
    redis.cli(&["EVAL", touch_all, "0"]);
    assert_eq!(redis.info("tracking_total_keys"), tracked);
    assert_eq!(redis.commands()["pexpire"], NUMBER);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(redis.commands(), BTreeMap::new());
}
