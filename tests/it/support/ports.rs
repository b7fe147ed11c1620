//! Ports for servers that can't pick one by themselves.

use std::{
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

const FIRST: u16 = 10_000;
const NUMBER: u16 = 10_000;

/// A free port, whose cluster port (10,000 higher) is free too. Both are below the ports that a system gives
/// to `bind(0)` and to outgoing connections, so that none of these takes them before the server does.
pub(crate) fn free_port() -> u16 {
    static NTH: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..)));
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = FIRST + NTH.fetch_add(1, Ordering::SeqCst) % NUMBER;
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}
