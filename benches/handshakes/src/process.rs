//! The processes that a run starts, all of which end with their handles.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{Failure, client::Target, variant::Variant};

/// A server under measurement.
pub(crate) struct Server {
    pub(crate) target: Arc<Target>,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Command that starts a server.
#[derive(Clone, Default)]
pub(crate) struct Launch {
    pub(crate) sessions: usize,
    pub(crate) redis_url: String,
    /// A program that runs the server, such as `valgrind`, with its arguments.
    pub(crate) under: Vec<OsString>,
    /// One thread instead of one for each processor.
    pub(crate) current_thread: bool,
}

/// CPU time, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Of the process, in pages.
    pub(crate) resident: f64,
    /// What the allocator has given out. Node's servers don't tell.
    pub(crate) allocated: Option<f64>,
}

impl Memory {
    /// What each of `number` has added to what was there `before`.
    pub(crate) fn each(self, before: Self, number: f64) -> Self {
        let allocated = self.allocated.zip(before.allocated);
        Self {
            resident: (self.resident - before.resident) / number,
            allocated: allocated.map(|(after, before)| (after - before) / number),
        }
    }

    pub(crate) fn over(self, bare: Self) -> Self {
        self.each(bare, 1.0)
    }
}

impl Server {
    pub(crate) fn start(variant: Variant, launch: &Launch) -> Result<Self, Failure> {
        let mut command = command(variant, launch)?;
        let mut child = command
            .env("REDIS_URL", &launch.redis_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let answers = BufReader::new(stdout);
        let mut server = Self {
            target: Target::new(0, &[]),
            child,
            orders,
            answers,
        };
        server.target = server.read_target()?;
        Ok(server)
    }

    fn read_target(&mut self) -> Result<Arc<Target>, Failure> {
        let (mut port, mut lines) = (0, Vec::new());
        loop {
            let line = self.answer()?;
            match line.split_once(' ') {
                Some(("port", number)) => port = number.parse()?,
                None if line == "ready" => return Ok(Target::new(port, &lines)),
                _ => lines.push(line),
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn cpu(&mut self) -> Result<Cpu, Failure> {
        match self.usage()?[..] {
            [user, system, ..] => Ok(Cpu { user, system }),
            _ => Err("a server without its CPU time".into()),
        }
    }

    pub(crate) fn memory(&mut self) -> Result<Memory, Failure> {
        Ok(Memory {
            resident: self.resident()?,
            allocated: self.usage()?.get(2).copied(),
        })
    }

    fn usage(&mut self) -> Result<Vec<f64>, Failure> {
        let orders = self.orders.as_mut().ok_or("no standard input")?;
        orders.write_all(b"usage\n")?;
        let line = self.answer()?;
        let numbers: Result<_, _> = line.split(' ').skip(1).map(str::parse).collect();
        Ok(numbers?)
    }

    fn resident(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: f64 = line
            .ok_or("no VmRSS")?
            .trim_end_matches("kB")
            .trim()
            .parse()?;
        Ok(kibibytes * 1024.0)
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("a server has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Lets the process end by itself, so that a profiler writes what it has.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        self.orders = None;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(variant: Variant, launch: &Launch) -> Result<Command, Failure> {
    let sessions = launch.sessions.to_string();
    if variant.needs_node() {
        let mut command = Command::new("node");
        command.arg(node_folder().join("server.mjs"));
        command.args([variant.name(), &sessions]);
        command.env("NODE_ENV", "production");
        return Ok(command);
    }
    let program = std::env::current_exe()?;
    let mut words = launch.under.iter().cloned().chain([program.into()]);
    let mut command = Command::new(words.next().ok_or("no program")?);
    command
        .args(words)
        .args(["serve", variant.name(), "--sessions", &sessions]);
    if launch.current_thread {
        command.arg("--current-thread");
    }
    Ok(command)
}

fn node_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}

/// Whether Node is there, and the packages that its servers need.
pub(crate) fn node_is_there() -> bool {
    let node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    node.is_ok_and(|status| status.success()) && node_folder().join("node_modules").is_dir()
}

/// A Redis server without persistence.
pub(crate) struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    /// `None` when `redis-server` is not installed.
    pub(crate) fn start() -> Result<Option<Self>, Failure> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else { return Ok(None) };
        let redis = Self { port, child };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Some(redis));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("redis-server does not listen".into())
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Number of commands that were processed, those of this function not counted.
    pub(crate) fn commands(&self) -> Result<f64, Failure> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"INFO commandstats\r\nQUIT\r\n")?;
        let mut lines = BufReader::new(stream).lines();
        let mut sum = 0.0;
        while let Some(Ok(line)) = lines.next() {
            let call = line
                .strip_prefix("cmdstat_")
                .and_then(|rest| rest.split_once(":calls="));
            if let Some((name, rest)) = call
                && !matches!(name, "info" | "quit" | "ping")
            {
                sum += rest.split(',').next().unwrap_or_default().parse::<f64>()?;
            }
        }
        Ok(sum)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
