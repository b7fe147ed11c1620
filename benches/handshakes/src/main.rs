//! Measures the Socket.IO handshake of several servers, side by side in one run and interleaved.
//!
//! ```sh
//! cargo run --release --manifest-path benches/handshakes/Cargo.toml --target-dir target/handshakes
//! ```
//!
//! Each server runs in a process of its own on the loopback interface, and all of them get the same
//! clients and hold the same sessions. A round measures each server once, in an order that rotates;
//! what a server adds to the baseline is the median of the differences within a round. The table
//! (`table.md`) and the rows (`rows.csv`) are written to `target/handshakes/`.
//!
//! `redis-server`, `valgrind` and Node (with `npm ci` in `node/`) are used when they are there.
//!
//! | option | meaning |
//! |---|---|
//! | `--rounds N` | rounds; 5. 100 for a narrow interval |
//! | `--handshakes N` | handshakes of each server and scenario in a round; 2,000, or 500 from 50 rounds on |
//! | `--at-once N` | concurrent clients; 16, in a storm 16 times as many |
//! | `--sessions N` | sessions; 1,000 |
//! | `--sockets N` | idle sockets when memory is measured; 5,000. 0 skips it |
//! | `--count N` | handshakes when instructions are counted; 500. 0 skips it |
//! | `--only A,B` | these servers instead of all |
//! | `instructions NAME` | only counts the instructions of one server, and leaves its profile |

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers for display"
)]

mod client;
mod instructions;
mod measure;
mod process;
mod report;
mod server;
mod stats;
mod variant;

use std::{error::Error, path::PathBuf, time::Duration};

use lexopt::{Arg, ValueExt as _};

use self::{
    measure::{Load, Scenario},
    process::{Launch, Redis, Server},
    report::{Row, Single},
    variant::Variant,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Time for a whole run, after which it stops by itself.
const LONGEST_RUN: Duration = Duration::from_secs(3600);
/// Clients at once in a storm, for each of those in the other scenarios.
const STORM: usize = 16;

struct Options {
    mode: Mode,
    rounds: usize,
    /// As many as the rounds ask for, if `None`.
    handshakes: Option<usize>,
    at_once: usize,
    sessions: usize,
    sockets: usize,
    count: usize,
    variants: Vec<Variant>,
    current_thread: bool,
}

enum Mode {
    Run,
    /// Runs one server; for the program itself.
    Serve(Variant),
    Instructions(Variant),
}

fn main() -> Result<(), Failure> {
    let options = Options::parse()?;
    if let Mode::Serve(variant) = options.mode {
        return server::serve(variant, options.sessions, options.current_thread);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { tokio::time::timeout(LONGEST_RUN, options.run()).await? })
}

impl Options {
    fn parse() -> Result<Self, Failure> {
        let mut options = Self {
            mode: Mode::Run,
            rounds: 5,
            handshakes: None,
            at_once: 16,
            sessions: 1_000,
            sockets: 5_000,
            count: 500,
            variants: Variant::ALL.to_vec(),
            current_thread: false,
        };
        let mut words = lexopt::Parser::from_env();
        while let Some(word) = words.next()? {
            match word {
                Arg::Long("rounds") => options.rounds = words.value()?.parse()?,
                Arg::Long("handshakes") => options.handshakes = Some(words.value()?.parse()?),
                Arg::Long("at-once") => options.at_once = words.value()?.parse()?,
                Arg::Long("sessions") => options.sessions = words.value()?.parse()?,
                Arg::Long("sockets") => options.sockets = words.value()?.parse()?,
                Arg::Long("count") => options.count = words.value()?.parse()?,
                Arg::Long("only") => {
                    let names = words.value()?.string()?;
                    options.variants = names.split(',').map(variant).collect::<Result<_, _>>()?;
                }
                Arg::Long("current-thread") => options.current_thread = true,
                // Cargo's own word for a benchmark.
                Arg::Long("bench") => {}
                Arg::Value(mode) if mode == "serve" => {
                    options.mode = Mode::Serve(variant(&words.value()?.string()?)?);
                }
                Arg::Value(mode) if mode == "instructions" => {
                    options.mode = Mode::Instructions(variant(&words.value()?.string()?)?);
                }
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    async fn run(self) -> Result<(), Failure> {
        let folder = folder()?;
        let redis = Redis::start()?;
        let launch = Launch {
            sessions: self.sessions,
            redis_url: redis.as_ref().map(Redis::url).unwrap_or_default(),
            ..Launch::default()
        };
        if let Mode::Instructions(variant) = self.mode {
            let load = self.load(self.count, self.at_once);
            let count = instructions::count(variant, &launch, load, &folder).await?;
            println!("{variant}: {count:.0} instructions for each handshake");
            return Ok(());
        }
        let variants = self.present(redis.is_some());
        let rows = self.rounds(&variants, &launch, redis.as_ref()).await?;
        let single = Single {
            instructions: self.instructions(&variants, &launch, &folder).await?,
            memory: self.memory(&variants, &launch).await?,
        };
        println!("{}", report::write(&folder, &rows, &single)?);
        println!("written to {}", folder.display());
        Ok(())
    }

    /// The servers for which everything is there.
    fn present(&self, redis: bool) -> Vec<Variant> {
        let node = process::node_is_there();
        let wanted = self.variants.iter().copied();
        let (present, missing): (Vec<_>, Vec<_>) =
            wanted.partition(|v| (redis || !v.needs_redis()) && (node || !v.needs_node()));
        for variant in missing {
            eprintln!("{variant}: left out, because what it needs is not installed");
        }
        present
    }

    async fn rounds(
        &self,
        variants: &[Variant],
        launch: &Launch,
        redis: Option<&Redis>,
    ) -> Result<Vec<Row>, Failure> {
        let mut servers = Vec::new();
        for variant in variants {
            let server = Server::start(*variant, launch)?;
            measure::warm_up(&server, self.load(self.sessions, self.at_once)).await?;
            servers.push((*variant, server));
        }
        let mut rows = Vec::new();
        for round in 0..self.rounds {
            for nth in 0..servers.len() {
                let at = (round + nth) % servers.len();
                let (variant, server) = &mut servers[at];
                let redis = redis.filter(|_| variant.needs_redis());
                for (scenario, sample) in self.round(server, redis).await? {
                    rows.push(Row {
                        round,
                        scenario,
                        variant: *variant,
                        sample,
                    });
                }
            }
            eprintln!("round {} of {}", round + 1, self.rounds);
        }
        Ok(rows)
    }

    async fn round(
        &self,
        server: &mut Server,
        redis: Option<&Redis>,
    ) -> Result<[(Scenario, measure::Sample); 3], Failure> {
        let load = self.load(self.handshakes(), self.at_once);
        let storm = self.load(self.handshakes(), self.at_once * STORM);
        let left = measure::leave(server, redis, load).await?;
        let [stayed, stormed] = measure::stay_and_storm(server, redis, load, storm).await?;
        Ok([
            (Scenario::Leave, left),
            (Scenario::Stay, stayed),
            (Scenario::Storm, stormed),
        ])
    }

    async fn instructions(
        &self,
        variants: &[Variant],
        launch: &Launch,
        folder: &std::path::Path,
    ) -> Result<Vec<(Variant, f64)>, Failure> {
        let mut counts = Vec::new();
        if self.count == 0 || !instructions::valgrind_is_there() {
            return Ok(counts);
        }
        let load = self.load(self.count, self.at_once);
        for variant in variants.iter().filter(|variant| !variant.needs_node()) {
            let count = instructions::count(*variant, launch, load, folder).await?;
            eprintln!("{variant}: {count:.0} instructions");
            counts.push((*variant, count));
        }
        Ok(counts)
    }

    async fn memory(
        &self,
        variants: &[Variant],
        launch: &Launch,
    ) -> Result<Vec<report::Sizes>, Failure> {
        let mut sizes = Vec::new();
        if self.sockets == 0 {
            return Ok(sizes);
        }
        let load = self.load(self.sockets, self.at_once);
        for variant in variants {
            let mut found = Vec::new();
            for sessions in [(self.sockets / 5).max(1), 1] {
                let launch = Launch {
                    sessions,
                    ..launch.clone()
                };
                let server = Server::start(*variant, &launch)?;
                found.push(measure::memory(server, load).await?);
            }
            eprintln!("{variant}: {:.0} bytes for each socket", found[0].resident);
            sizes.push(report::Sizes {
                variant: *variant,
                five: found[0],
                all: found[1],
            });
        }
        Ok(sizes)
    }

    /// Short rounds when there are many of them.
    fn handshakes(&self) -> usize {
        let default = if self.rounds < 50 { 2_000 } else { 500 };
        self.handshakes.unwrap_or(default)
    }

    fn load(&self, handshakes: usize, at_once: usize) -> Load {
        Load {
            handshakes,
            at_once,
        }
    }
}

fn variant(name: &str) -> Result<Variant, Failure> {
    Variant::parse(name).ok_or_else(|| {
        let names = Variant::ALL.map(Variant::name).join(", ");
        format!("no server is called {name}; there are {names}").into()
    })
}

/// Folder of the results: below the `target` folder of the crate that is measured.
fn folder() -> Result<PathBuf, Failure> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/handshakes");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?)
}
