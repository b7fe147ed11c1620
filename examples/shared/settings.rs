//! Settings of the examples, from environment variables.

use std::{env, error::Error, net::SocketAddr, time::Duration};

use socketioxide_session::{Keyring, SecretKey};
use tokio::net::TcpListener;

/// The key of `SESSION_KEY`, else a random one.
pub(crate) fn keys() -> Result<Keyring, Box<dyn Error>> {
    if let Ok(text) = env::var("SESSION_KEY") {
        return Ok(Keyring::new(SecretKey::from_base64(&text)?));
    }
    tracing::warn!("SESSION_KEY is not set: the key is random, so a restart loses all sessions");
    Ok(Keyring::new(SecretKey::generate()?))
}

/// A number of seconds.
pub(crate) fn seconds(name: &str, default: u64) -> Result<Duration, Box<dyn Error>> {
    let seconds = env::var(name).map_or(Ok(default), |text| text.parse())?;
    Ok(Duration::from_secs(seconds))
}

/// Listens on the port of `PORT`, and prints the address.
pub(crate) async fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    #[allow(clippy::print_stdout, reason = "the only line on standard output")]
    {
        println!("listening on http://{}", listener.local_addr()?);
    }
    Ok(listener)
}
