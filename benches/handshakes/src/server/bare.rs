//! socketioxide without sessions.

use std::sync::Arc;

use axum::Router;
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{Expiration, config::Config},
};
use socketioxide::{SocketIo, extract::SocketRef, handler::ConnectHandler as _};

use super::{App, user::User};
use crate::Failure;

/// Length of the cookies' values: that of a signed session id.
const COOKIE: usize = 66;

pub(super) fn app() -> App {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.emit("hello", "Ann Example 00000").ok();
    });
    App {
        router: Router::new().layer(layer),
        credentials: vec![format!("cookie sid={:0COOKIE$}", 0)],
    }
}

/// One pipeline for each handshake.
pub(super) async fn pipeline(url: &str, sessions: usize) -> Result<App, Failure> {
    let client = Client::new(Config::from_url(url)?, None, None, None);
    client.init().await?;
    let mut credentials = Vec::new();
    for n in 0..sessions {
        let value = serde_json::to_string(&User::nth(n))?;
        let expiry = Some(Expiration::EX(86_400));
        let _: () = client
            .set(format!("raw:{n:0COOKIE$}"), value, expiry, None, false)
            .await?;
        credentials.push(format!("cookie sid={n:0COOKIE$}"));
    }
    let (layer, io) = SocketIo::new_layer();
    let load = move |socket: SocketRef| {
        let client = client.clone();
        async move {
            let cookie = socket
                .req_parts()
                .headers
                .get("cookie")
                .map(|c| c.as_bytes());
            let n = cookie
                .and_then(|c| c.strip_prefix(b"sid="))
                .unwrap_or_default();
            let key = format!("raw:{}", String::from_utf8_lossy(n));
            let pipeline = client.pipeline();
            let _: () = pipeline.get(key.as_str()).await?;
            let _: () = pipeline.pttl(key.as_str()).await?;
            let (value, ttl): (bytes::Bytes, i64) = pipeline.all().await?;
            let user: User = serde_json::from_slice(&value)?;
            if ttl < 0 {
                return Err(Failure::from("the session does not expire"));
            }
            socket.extensions.insert(Arc::new(user));
            Ok(())
        }
    };
    let on_connect = async |socket: SocketRef| {
        let user = socket.extensions.get::<Arc<User>>();
        socket
            .emit("hello", &user.map(|user| user.name.clone()))
            .ok();
    };
    io.ns("/", on_connect.with(load));
    Ok(App {
        router: Router::new().layer(layer),
        credentials,
    })
}
