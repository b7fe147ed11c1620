//! Records in a real server.

mod express;
mod own;

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;
use crate::store::RedisStore;

const MISSING: &str = "redis-server is missing: install it (Debian: apt-get install redis-server)";

struct Redis {
    folder: PathBuf,
    process: Child,
}

impl Redis {
    fn start() -> Self {
        let name = format!("records-{}-{}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(folder.join("redis.sock"))
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect(MISSING);
        Self { folder, process }
    }

    async fn store<T>(&self, records: impl Into<Records>) -> RedisStore<T> {
        let records = records.into();
        let url = format!("redis+unix://{}", self.folder.join("redis.sock").display());
        for _ in 0..300 {
            let store = RedisStore::<T>::builder(&url)
                .unwrap()
                .records(records.clone());
            if let Ok(store) = store.connect().await {
                return store;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Redis is not ready");
    }

    /// Runs `redis-cli`, as an operator would.
    fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.folder.join("redis.sock"))
            .args(args)
            .output()
            .expect(MISSING);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn id(text: &str) -> SessionId {
    SessionId::from_bytes(text.as_bytes()).unwrap()
}
