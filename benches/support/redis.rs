//! A Redis server for a benchmark.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// A server on a unix socket, which ends with this handle.
pub(crate) struct Redis {
    folder: PathBuf,
    process: Child,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let name = format!(
            "session-bench-{}-{:x}",
            std::process::id(),
            fastrand::u64(..)
        );
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("redis.sock");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed (Debian: apt-get install redis-server)");
        let deadline = Instant::now() + Duration::from_secs(10);
        while !socket.exists() {
            assert!(Instant::now() < deadline, "the server does not start");
            sleep(Duration::from_millis(10));
        }
        Self { folder, process }
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.folder.join("redis.sock");
        format!("redis+unix://{}", socket.display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
