//! The scenarios, each of which measures one server once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Failure,
    client::{Client, Target},
    process::{Memory, Redis, Server},
};

/// Time for a server to finish what it does after its clients have left.
const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Each client connects, gets one event and leaves.
    Leave,
    /// Each client connects, gets one event and stays.
    Stay,
    /// All clients lose their connections at once, and connect again as fast as they can.
    Storm,
}

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::Leave, Self::Stay, Self::Storm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Leave => "connect and leave",
            Self::Stay => "connect and stay",
            Self::Storm => "reconnect storm",
        }
    }
}

/// Cost of one server in one round.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Of the server, in microseconds for each handshake.
    pub(crate) cpu: f64,
    /// The part of it in user space.
    pub(crate) user: f64,
    pub(crate) per_second: f64,
    /// Latencies of the client, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Redis commands for each handshake.
    pub(crate) commands: Option<f64>,
}

/// Number of handshakes, and of those at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) handshakes: usize,
    pub(crate) at_once: usize,
}

pub(crate) async fn leave(
    server: &mut Server,
    redis: Option<&Redis>,
    load: Load,
) -> Result<Sample, Failure> {
    let meter = Meter::start(server, redis)?;
    let done = clients(&server.target, load, true).await?;
    meter.stop(server, redis, &done).await
}

/// Measures `Stay`, then `Storm`; then all clients leave.
pub(crate) async fn stay_and_storm(
    server: &mut Server,
    redis: Option<&Redis>,
    stay: Load,
    storm: Load,
) -> Result<[Sample; 2], Failure> {
    let meter = Meter::start(server, redis)?;
    let done = clients(&server.target, stay, false).await?;
    let stayed = meter.stop(server, redis, &done).await?;
    let meter = Meter::start(server, redis)?;
    drop(done);
    let again = clients(&server.target, storm, false).await?;
    let stormed = meter.stop(server, redis, &again).await?;
    all_leave(again.staying).await?;
    Ok([stayed, stormed])
}

/// Memory for each idle socket. The sockets stay until the server has ended.
pub(crate) async fn memory(mut server: Server, load: Load) -> Result<Memory, Failure> {
    let warm = Load {
        handshakes: 500,
        ..load
    };
    clients(&server.target, warm, true).await?;
    tokio::time::sleep(SETTLE).await;
    let before = server.memory()?;
    let done = clients(&server.target, load, false).await?;
    tokio::time::sleep(SETTLE * 4).await;
    let after = server.memory()?;
    drop(done);
    Ok(after.each(before, count(load.handshakes)))
}

/// Clients that connect and leave, unmeasured.
pub(crate) async fn warm_up(server: &Server, load: Load) -> Result<(), Failure> {
    clients(&server.target, load, true).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

struct Meter {
    cpu: crate::process::Cpu,
    commands: Option<f64>,
}

impl Meter {
    fn start(server: &mut Server, redis: Option<&Redis>) -> Result<Self, Failure> {
        let commands = redis.map(Redis::commands).transpose()?;
        let cpu = server.cpu()?;
        Ok(Self { cpu, commands })
    }

    async fn stop(
        self,
        server: &mut Server,
        redis: Option<&Redis>,
        done: &Done,
    ) -> Result<Sample, Failure> {
        tokio::time::sleep(SETTLE).await;
        let cpu = server.cpu()?;
        let handshakes = count(done.latencies.len());
        let commands = match (redis, self.commands) {
            (Some(redis), Some(before)) => Some((redis.commands()? - before) / handshakes),
            _ => None,
        };
        let (user, system) = (cpu.user - self.cpu.user, cpu.system - self.cpu.system);
        let at = |share: f64| done.latencies[(share * (handshakes - 1.0)) as usize];
        Ok(Sample {
            cpu: (user + system) / handshakes,
            user: user / handshakes,
            per_second: handshakes / done.took.as_secs_f64(),
            p50: micros(at(0.5)),
            p99: micros(at(0.99)),
            commands,
        })
    }
}

/// Results of the clients of one scenario.
struct Done {
    /// Sorted.
    latencies: Vec<Duration>,
    took: Duration,
    staying: Vec<Client>,
}

async fn clients(target: &Arc<Target>, load: Load, leave: bool) -> Result<Done, Failure> {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..load.at_once {
        let (target, next) = (target.clone(), next.clone());
        tasks.spawn(async move {
            let mut done = (Vec::new(), Vec::new());
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= load.handshakes {
                    return Ok::<_, Failure>(done);
                }
                let began = Instant::now();
                let client = Client::connect(&target, nth).await?;
                done.0.push(began.elapsed());
                match leave {
                    true => client.leave().await?,
                    false => done.1.push(client),
                }
            }
        });
    }
    let (mut latencies, mut staying) = (Vec::new(), Vec::new());
    while let Some(joined) = tasks.join_next().await {
        let (times, clients) = joined??;
        latencies.extend(times);
        staying.extend(clients);
    }
    let took = began.elapsed();
    latencies.sort_unstable();
    Ok(Done {
        latencies,
        took,
        staying,
    })
}

async fn all_leave(clients: Vec<Client>) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(client.leave());
    }
    while let Some(joined) = tasks.join_next().await {
        joined??;
    }
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

fn count(number: usize) -> f64 {
    number as f64
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
