//! Helpers of the benchmarks.

#![allow(dead_code, reason = "each benchmark uses a part")]

use http::{Request, request::Parts};
use socketioxide_session::{
    Keyring, MemoryStore, SecretKey, SessionBridge, SessionId, SignedCookie,
};
use tokio::runtime::{Builder, Runtime};

pub(crate) const KEY: [u8; 32] = [7; 32];

pub(crate) fn keys() -> Keyring {
    Keyring::new(SecretKey::from_bytes(&KEY).unwrap())
}

pub(crate) fn id() -> SessionId {
    "Gd2XNkT6kXzJVCtBcU9S1A".parse().unwrap()
}

pub(crate) fn cookie() -> SignedCookie {
    SignedCookie::new("sid", &keys()).unwrap()
}

pub(crate) fn parts(uri: &str, cookie: &str) -> Parts {
    let request = Request::get(uri)
        .header("host", "example.com")
        .header("cookie", cookie);
    request.body(()).unwrap().into_parts().0
}

/// A bridge with sessions in memory, and the requests that show each of them.
pub(crate) fn bridge(runtime: &Runtime, sessions: usize) -> (SessionBridge<String>, Vec<Parts>) {
    let cookie = cookie();
    let bridge = SessionBridge::builder(cookie.clone(), MemoryStore::new())
        .build()
        .unwrap();
    let requests = (0..sessions).map(|_| {
        let session = runtime.block_on(bridge.create("Ann".to_owned())).unwrap();
        let issued = cookie.issue(session.id());
        parts("/", &format!("{}={}", issued.name(), issued.value()))
    });
    let requests = requests.collect();
    (bridge, requests)
}

pub(crate) fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

pub(crate) fn many_threads() -> Runtime {
    Builder::new_multi_thread().enable_all().build().unwrap()
}
