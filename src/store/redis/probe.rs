//! Whether the Redis user may run the commands that the store needs.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    config_error::RedisConfigError,
    driver::{Driver, DriverError, Failure, Reply, SetIf},
    own_keys::rename_fence,
};

/// Delay before a server that is starting is asked again.
const RETRY: Duration = Duration::from_millis(100);

/// The commands that the scripts run, in the order of [`RUN_IN_SCRIPTS`].
const IN_SCRIPTS: [&str; 7] = ["GET", "SET", "PTTL", "PEXPIRE", "EXISTS", "RENAMENX", "DEL"];

/// Runs each of [`IN_SCRIPTS`] on a missing key, which changes nothing, and returns their errors.
const RUN_IN_SCRIPTS: &str = "
    local key = KEYS[1]
    local errors = {}
    for nth, call in ipairs({
        {'GET', key}, {'SET', key, '', 'XX'}, {'PTTL', key}, {'PEXPIRE', key, 1}, {'EXISTS', key},
        {'RENAMENX', key, key}, {'DEL', key}
    }) do
        local reply = redis.pcall(unpack(call))
        errors[nth] = type(reply) == 'table' and reply.err or ''
    end
    return errors";

/// Runs each needed command on a key that does not exist. Waits until the deadline for a server that is
/// starting; any other state of the server, as being a replica, is no reason not to use it.
pub(super) async fn probe(
    driver: &dyn Driver,
    prefix: &str,
    deadline: Instant,
) -> Result<(), RedisConfigError> {
    let key = format!("{prefix}probe-{:032x}", fastrand::u128(..));
    loop {
        let Err((command, error)) = run_each(driver, &key).await else {
            return Ok(());
        };
        match error.failure() {
            Failure::Denied => return Err(RedisConfigError::refused(command, error)),
            Failure::Timeout | Failure::Disconnected | Failure::Starting => {}
            _ => return Ok(()),
        }
        let next = Instant::now() + RETRY;
        if next >= deadline {
            return Err(RedisConfigError::late(Some(error)));
        }
        tokio::time::sleep_until(next).await;
    }
}

/// The first command that fails, with its error.
async fn run_each(driver: &dyn Driver, key: &str) -> Result<(), (&'static str, DriverError)> {
    let of = |command| move |error| (command, error);
    driver.get(key).await.map_err(of("GET"))?;
    driver.get_and_ttl(key).await.map_err(of("PTTL"))?;
    let set = driver.set(key, Bytes::new(), None, SetIf::Present).await;
    set.map_err(of("SET"))?;
    driver.delete(key).await.map_err(of("DEL"))?;
    // In a cluster, scripts use a key of this crate's own, too.
    let fence = driver.is_clustered().then(|| rename_fence(key));
    let keys: Vec<&str> = [key].into_iter().chain(fence.as_deref()).collect();
    let errors = driver.eval(RUN_IN_SCRIPTS, &keys, Vec::new()).await;
    let Reply::List(errors) = errors.map_err(of("EVAL"))? else {
        return Ok(());
    };
    for (command, error) in IN_SCRIPTS.into_iter().zip(errors) {
        if let Reply::Bytes(text) = error {
            let error = DriverError::reply(&String::from_utf8_lossy(&text));
            // Others are of the missing key.
            if error.failure() == Failure::Denied {
                return Err((command, error));
            }
        }
    }
    Ok(())
}
