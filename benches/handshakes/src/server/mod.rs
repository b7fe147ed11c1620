//! A server under measurement, in a process of its own.
//!
//! It prints the credentials of its sessions, `port N` and `ready`, and then answers each `usage` on
//! its standard input with its CPU time so far. It ends with its standard input.

mod bare;
mod by_hand;
mod ours;
mod user;

use std::{
    io::{BufRead as _, Write as _},
    net::SocketAddr,
};

use axum::{Router, serve::ListenerExt as _};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::net::{TcpListener, TcpSocket};

use crate::{Failure, variant::Variant};

/// An application, and what its clients show.
struct App {
    router: Router,
    credentials: Vec<String>,
}

pub(crate) fn serve(
    variant: Variant,
    sessions: usize,
    current_thread: bool,
) -> Result<(), Failure> {
    let mut builder = match current_thread {
        true => tokio::runtime::Builder::new_current_thread(),
        false => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()?
        .block_on(run(variant, sessions))
}

async fn run(variant: Variant, sessions: usize) -> Result<(), Failure> {
    let app = match variant {
        Variant::Bare => bare::app(),
        Variant::BarePipeline => bare::pipeline(&redis_url()?, sessions).await?,
        Variant::OursMemory => ours::memory(sessions).await?,
        Variant::OursToken => ours::token(sessions).await?,
        Variant::OursRedis => ours::redis(&redis_url()?, sessions).await?,
        Variant::TowerMemory => by_hand::memory(sessions).await?,
        Variant::TowerRedis => by_hand::redis(&redis_url()?, sessions).await?,
        Variant::ExpressMemory | Variant::ExpressRedis => return Err("a server of Node's".into()),
    };
    let listener = listen()?;
    let mut out = std::io::stdout().lock();
    for credential in &app.credentials {
        writeln!(out, "{credential}")?;
    }
    writeln!(out, "port {}", listener.local_addr()?.port())?;
    writeln!(out, "ready")?;
    out.flush()?;
    drop(out);
    // As Node does by itself.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap_or_default());
    let orders = tokio::task::spawn_blocking(obey);
    tokio::select! {
        served = axum::serve(listener, app.router) => served?,
        obeyed = orders => obeyed??,
    }
    Ok(())
}

/// Listens with room for a reconnect storm: with the 128 of `TcpListener::bind`, clients that find no room
/// try again only after a second.
fn listen() -> Result<TcpListener, std::io::Error> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(4096)
}

fn obey() -> Result<(), std::io::Error> {
    for line in std::io::stdin().lock().lines() {
        if line? == "usage" {
            let usage = getrusage(UsageWho::RUSAGE_SELF)?;
            let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
            let (user, system) = (micros(usage.user_time()), micros(usage.system_time()));
            let mut out = std::io::stdout().lock();
            write!(out, "usage {user} {system}")?;
            if let Some(allocated) = allocated() {
                write!(out, " {allocated}")?;
            }
            writeln!(out)?;
            out.flush()?;
        }
    }
    Ok(())
}

/// Bytes that the allocator has given out; `None` where it doesn't tell.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn allocated() -> Option<usize> {
    // SAFETY: it reads statistics, under the allocator's own locks.
    let statistics = unsafe { libc::mallinfo2() };
    Some(statistics.uordblks + statistics.hblkhd)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn allocated() -> Option<usize> {
    None
}

fn redis_url() -> Result<String, Failure> {
    std::env::var("REDIS_URL").map_err(|_| "REDIS_URL is not set".into())
}
