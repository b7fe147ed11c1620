//! Real Redis servers, which end with their handles.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use socketioxide_session::{
    RedisStore, SessionId, SessionStore, StoreError,
    store::{Capabilities, Change, Changes, Created, IndexedSession, Record, Revision, Saved},
};

use super::{ports::free_port, server::User};

const MISSING: &str = "redis-server is missing: install it (Debian: apt-get install redis-server)";

/// The server that most tests start: `$REDIS_SERVER`, else the installed one. `tests/redis-servers.sh`
/// fetches others.
fn server() -> Command {
    Command::new(std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into()))
}

const SOCKET: &str = "redis.sock";
/// File with the certificate of the authority of a server with TLS.
const AUTHORITY: &str = "authority.pem";

/// One server on a free port, and on a unix socket.
pub(crate) struct Redis {
    pub(crate) port: u16,
    folder: PathBuf,
    settings: Vec<String>,
    process: Child,
}

/// Timeout for a command where no server hangs, so that a stall of the machine is no failure.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

/// The settings of a node of a cluster. A new cluster is up after the timeout of its nodes.
pub(crate) const CLUSTER: &[&str] = &["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further settings, as arguments.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        Self::start_at(free_port(), settings).await
    }

    /// On a port that was [free](super::ports::free_port).
    pub(crate) async fn start_at(port: u16, settings: &[&str]) -> Self {
        let folder = folder();
        let settings: Vec<String> = settings.iter().map(|&setting| setting.into()).collect();
        let process = spawn(port, &folder, &settings);
        Self::ready_at(port, folder, settings, process).await
    }

    async fn ready_at(port: u16, folder: PathBuf, settings: Vec<String>, process: Child) -> Self {
        let server = Self {
            port,
            folder,
            settings,
            process,
        };
        server.ready().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.folder.join(SOCKET).display())
    }

    /// Runs `redis-cli`, as an operator would.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let authority = self.folder.join(AUTHORITY);
        if !authority.exists() {
            return cli(self.port, args);
        }
        let tls = ["-h", "localhost", "--tls", "--cacert"];
        let tls = [&tls[..], &[authority.to_str().unwrap()], args].concat();
        cli(self.port, &tls)
    }

    /// A server that speaks TLS only, with this certificate, its key, and that of the authority which signed it,
    /// as PEM.
    #[allow(dead_code, reason = "shared with the tests of TLS")]
    pub(crate) async fn start_with_tls(certificate: &str, key: &str, authority: &str) -> Self {
        let (port, folder) = (free_port(), folder());
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        // Not every server of `$REDIS_SERVER` is built with TLS.
        let process = Command::new("redis-server")
            .args(["--port", "0", "--tls-port", &port.to_string()])
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(&folder)
            .arg("--tls-cert-file")
            .arg(file("server.pem", certificate))
            .arg("--tls-key-file")
            .arg(file("server.key", key))
            .arg("--tls-ca-cert-file")
            .arg(file(AUTHORITY, authority))
            .args(["--tls-auth-clients", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect(MISSING);
        Self::ready_at(port, folder, Vec::new(), process).await
    }

    async fn start_sentinel(master: &str) -> Self {
        let (port, folder) = (free_port(), folder());
        // A sentinel writes what it learns into its configuration.
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            folder.display()
        );
        let file = folder.join("sentinel.conf");
        std::fs::write(&file, settings).unwrap();
        let process = server()
            .arg(&file)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .expect(MISSING);
        Self::ready_at(port, folder, Vec::new(), process).await
    }

    /// Waits until this replica has received everything that was written so far. (`WAIT` counts only the
    /// writes of its own connection.)
    pub(crate) async fn has_received_all_of(&self, master: &Redis) {
        let offset = |server: &Redis, field: &str| -> Option<u64> {
            let info = server.cli(&["INFO", "replication"]);
            let mut fields = info.lines().filter_map(|line| line.split_once(':'));
            let (_, offset) = fields.find(|(name, _)| *name == field)?;
            offset.trim().parse().ok()
        };
        let written = offset(master, "master_repl_offset").unwrap();
        eventually("the replica has received it", async {
            while offset(self, "slave_repl_offset") < Some(written) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Waits until this very server answers on its port.
    async fn ready(&self) {
        let own = format!("process_id:{}", self.process.id());
        eventually("Redis is ready", async {
            while !self.cli(&["INFO", "server"]).contains(&own) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Stops answering, and keeps its connections.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts again on the same port, empty.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder, &self.settings);
        self.ready().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &Path, settings: &[String]) -> Child {
    let port = port.to_string();
    server()
        .args([
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(["--dir", folder.to_str().unwrap()])
        .args(["--unixsocket", folder.join(SOCKET).to_str().unwrap()])
        .args(settings)
        .stdout(Stdio::null())
        .spawn()
        .expect(MISSING)
}

/// A new folder.
fn folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let nth = COUNT.fetch_add(1, Ordering::SeqCst);
    let name = format!("session-redis-{}-{nth}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn cli(port: u16, args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(args)
        .output()
        .expect(MISSING);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A cluster of three masters.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Redis>,
}

impl Cluster {
    /// One whose nodes count as failed late: without replicas, a node that hangs with the machine would take
    /// the cluster with it.
    pub(crate) async fn start() -> Self {
        let cluster = Self::start_with(CLUSTER).await;
        for master in &cluster.masters {
            let set = master.cli(&["CONFIG", "SET", "cluster-node-timeout", "15000"]);
            assert_eq!(set, "OK");
        }
        cluster
    }

    /// With these settings of its nodes.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let mut masters = Vec::new();
        for _ in 0..3 {
            masters.push(Redis::start_with(settings).await);
        }
        let addresses: Vec<String> = masters
            .iter()
            .map(|master| format!("127.0.0.1:{}", master.port))
            .collect();
        let mut args = vec!["--cluster", "create"];
        args.extend(addresses.iter().map(String::as_str));
        args.push("--cluster-yes");
        masters[0].cli(&args);
        eventually("the cluster is ready", async {
            while !masters.iter().all(|master| {
                master
                    .cli(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
            }) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Self { masters }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.masters[0].port)
    }

    /// The master that has this key.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let has = |master: &Redis| master.cli(&["EXISTS", key]) == "1";
        self.masters.iter().position(has).unwrap()
    }

    /// Adds a replica of this master, and waits until all masters know it: they elect it.
    pub(crate) async fn replica_of(&self, nth: usize) -> Redis {
        let replica = Redis::start_with(CLUSTER).await;
        let port = self.masters[nth].port.to_string();
        replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &port]);
        let master = self.masters[nth].cli(&["CLUSTER", "MYID"]);
        let id = replica.cli(&["CLUSTER", "MYID"]);
        eventually("it is a replica", async {
            while replica.cli(&["CLUSTER", "REPLICATE", &master]) != "OK" {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let known = |server: &Redis| {
            let nodes = server.cli(&["CLUSTER", "NODES"]);
            nodes
                .lines()
                .any(|line| line.starts_with(&id) && line.contains("slave"))
        };
        eventually("all know the replica, and it follows", async {
            while !self.masters.iter().all(known)
                || !replica
                    .cli(&["INFO", "replication"])
                    .contains("master_link_status:up")
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        replica
    }
}

/// A master and a replica, and a sentinel that looks after them.
pub(crate) struct Sentinel {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    watcher: Redis,
}

impl Sentinel {
    pub(crate) async fn start() -> Self {
        let (master, replica) = (Redis::start().await, Redis::start().await);
        let port = master.port.to_string();
        replica.cli(&["REPLICAOF", "127.0.0.1", &port]);
        eventually("the replica follows", async {
            while !replica
                .cli(&["INFO", "replication"])
                .contains("master_link_status:up")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        let watcher = Redis::start_sentinel(&port).await;
        eventually("the sentinel knows the replica", async {
            while !watcher
                .cli(&["SENTINEL", "REPLICAS", "main"])
                .contains(&replica.port.to_string())
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Self {
            master,
            replica,
            watcher,
        }
    }

    pub(crate) fn url(&self) -> String {
        let port = self.watcher.port;
        format!("redis-sentinel://127.0.0.1:{port}?sentinelServiceName=main")
    }

    /// Kills the master, and waits until the replica has taken its place.
    pub(crate) async fn fail_over(&mut self) {
        self.master.kill();
        eventually("the failover", async {
            while !self.replica.cli(&["ROLE"]).starts_with("master") {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
}

pub(crate) const HOUR: Duration = Duration::from_hours(1);
/// Finding that a server is gone, electing another one and reconnecting with growing pauses take
/// some seconds each.
pub(crate) const FAILOVER: Duration = Duration::from_mins(1);

pub(crate) fn ann() -> User {
    User {
        name: "Ann".into(),
        visits: 0,
    }
}

pub(crate) async fn created(store: &RedisStore<User>) -> SessionId {
    let id = SessionId::generate().unwrap();
    let made = store.create(&id, &ann(), HOUR).await.unwrap();
    assert!(matches!(made, Created::Created(_)));
    id
}

pub(crate) async fn must_load(store: &RedisStore<User>, id: &SessionId) -> Record<User> {
    store.load(id).await.unwrap().unwrap()
}

pub(crate) fn key(id: &SessionId) -> String {
    format!("session:{}", id.expose())
}

/// A store that takes a stall of the machine for no loss of reports.
pub(crate) async fn patient(url: &str) -> RedisStore<User> {
    let builder = RedisStore::<User>::builder(url).unwrap();
    let builder = builder.command_timeout(PATIENT).unwrap();
    builder.connect().await.unwrap()
}

/// The feed, once it is up.
pub(crate) async fn feed(store: &RedisStore<User>) -> Changes {
    let mut feed = store.changes().unwrap();
    assert_eq!(feed.next().await, Some(Change::Disconnected));
    until_reported(&mut feed, &Change::Resync).await;
    feed
}

/// Waits for something that takes servers some seconds, and longer on a busy machine.
async fn eventually<R>(what: &str, happens: impl Future<Output = R>) -> R {
    let happened = tokio::time::timeout(FAILOVER, happens).await;
    happened.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits until the feed reports this change. After a loss of reports, which a stall of the machine brings about,
/// a session counts as changed.
pub(crate) async fn until_reported(feed: &mut Changes, change: &Change) {
    let tells = |reported: Change| match change {
        Change::Session(_) => reported == *change || reported == Change::Resync,
        _ => reported == *change,
    };
    let seen = tokio::time::timeout(FAILOVER, async {
        while !feed.next().await.is_some_and(tells) {}
    });
    seen.await
        .unwrap_or_else(|_| panic!("never reported: {change:?}"));
}

pub(crate) async fn answers_again(store: &RedisStore<User>, id: &SessionId) {
    let answered = tokio::time::timeout(FAILOVER, async {
        while store.load(id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    answered.await.expect("it answers again");
}

/// Every deployment stores, saves, touches, renames, reports and deletes.
pub(crate) async fn works(store: &RedisStore<User>, delete: impl Fn(&str)) {
    let mut feed = feed(store).await;
    let old = created(store).await;
    let record = must_load(store, &old).await;
    let saved = store.save(&old, &ann(), &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    assert!(store.touch(&old, &ann(), HOUR * 2).await.unwrap());
    let id = SessionId::generate().unwrap();
    assert!(!store.was_replaced(&old).await.unwrap());
    assert!(store.rename(&old, &id).await.unwrap());
    assert!(store.was_replaced(&old).await.unwrap());
    assert!(store.load(&old).await.unwrap().is_none());
    must_load(store, &id).await;
    delete(&key(&id));
    until_reported(&mut feed, &Change::Session(id.clone())).await;
    assert!(!store.delete(&id).await.unwrap());
}

/// A store with the servers that it needs.
pub(crate) struct Hosted<T, H> {
    pub(crate) store: RedisStore<T>,
    _host: H,
}

impl<T, H> Hosted<T, H> {
    pub(crate) fn of(store: RedisStore<T>, host: H) -> Self {
        Self { store, _host: host }
    }
}

#[async_trait]
impl<T, H> SessionStore for Hosted<T, H>
where
    RedisStore<T>: SessionStore<Data = T>,
    T: Send + Sync + 'static,
    H: Send + Sync + 'static,
{
    type Data = T;

    async fn create(&self, id: &SessionId, data: &T, ttl: Duration) -> Result<Created, StoreError> {
        self.store.create(id, data, ttl).await
    }

    async fn load(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        self.store.load(id).await
    }

    async fn look_up(&self, id: &SessionId) -> Result<Option<Record<T>>, StoreError> {
        self.store.look_up(id).await
    }

    async fn save(
        &self,
        id: &SessionId,
        data: &T,
        expected: &Revision,
    ) -> Result<Saved, StoreError> {
        self.store.save(id, data, expected).await
    }

    async fn touch(
        &self,
        id: &SessionId,
        data: &Self::Data,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        self.store.touch(id, data, ttl).await
    }

    async fn rename(&self, old: &SessionId, new: &SessionId) -> Result<bool, StoreError> {
        self.store.rename(old, new).await
    }

    async fn delete(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.store.delete(id).await
    }

    fn changes(&self) -> Option<Changes> {
        self.store.changes()
    }

    async fn mark_replaced(&self, id: &SessionId) -> Result<(), StoreError> {
        self.store.mark_replaced(id).await
    }

    async fn was_replaced(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.store.was_replaced(id).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn user_id(&self, data: &T) -> Option<String> {
        SessionStore::user_id(&self.store, data)
    }

    async fn sessions_of_user(&self, user: &str) -> Result<Vec<IndexedSession>, StoreError> {
        self.store.sessions_of_user(user).await
    }
}

/// The words of the ACL line in the docs.
pub(crate) fn documented_acl() -> Vec<String> {
    let docs = include_str!("../../../src/store/redis/store.rs");
    let line = docs.lines().find(|line| line.contains("ACL SETUSER"));
    let words = line.unwrap().trim_start_matches("///").split_whitespace();
    words
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}
