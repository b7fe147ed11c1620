//! Whether the Redis user may run the commands, and use the keys, that the store needs.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    config_error::RedisConfigError,
    driver::{Driver, DriverError, Failure, Reply, SetIf},
    own_keys::{self, rename_fence, replaced_mark, user_hash},
};
use crate::id::SessionId;

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

/// The commands that the scripts of the index run, in the order of [`RUN_INDEX`].
const IN_INDEX: [&str; 5] = ["HSET", "HGET", "HDEL", "HGETALL", "TIME"];

/// Runs each of [`IN_INDEX`] on a key that expires at once, and returns their errors.
const RUN_INDEX: &str = "
    local key = KEYS[1]
    local errors = {}
    for nth, call in ipairs({
        {'HSET', key, 'f', ''}, {'HGET', key, 'f'}, {'HDEL', key, 'f'}, {'HGETALL', key}, {'TIME'}
    }) do
        local reply = redis.pcall(unpack(call))
        errors[nth] = type(reply) == 'table' and reply.err or ''
        redis.call('PEXPIRE', key, 1)
    end
    return errors";

/// The command of the script that looks ids up.
const IN_LOOK_UP: [&str; 1] = ["GETEX"];

/// Runs [`IN_LOOK_UP`] on a missing key, and returns its error.
const RUN_LOOK_UP: &str = "
    local reply = redis.pcall('GETEX', KEYS[1])
    return {type(reply) == 'table' and reply.err or ''}";

/// Commands to try, on keys that do not exist.
enum Tried<'a> {
    Sessions {
        prefix: &'a str,
    },
    LookUp {
        prefix: &'a str,
    },
    /// The marks of replaced ids, and the fences of renames.
    OwnKeys {
        prefix: &'a str,
    },
    Index {
        prefix: &'a str,
    },
}

/// Runs each needed command on keys that do not exist. Waits until the deadline for a server that is
/// starting; any other state of the server, as being a replica, is no reason not to use it.
pub(super) async fn probe(
    driver: &dyn Driver,
    prefix: &str,
    deadline: Instant,
) -> Result<(), RedisConfigError> {
    for tried in [Tried::Sessions { prefix }, Tried::OwnKeys { prefix }] {
        tried.until_answered(driver, deadline).await?;
    }
    Ok(())
}

/// The same for ids that may be guesses.
pub(super) async fn probe_look_up(
    driver: &dyn Driver,
    prefix: &str,
    deadline: Instant,
) -> Result<(), RedisConfigError> {
    let tried = Tried::LookUp { prefix };
    tried.until_answered(driver, deadline).await
}

/// The same for the index of users.
pub(super) async fn probe_index(
    driver: &dyn Driver,
    prefix: &str,
    deadline: Instant,
) -> Result<(), RedisConfigError> {
    let tried = Tried::Index { prefix };
    tried.until_answered(driver, deadline).await
}

/// As long as a generated id, so that a pattern of keys that permits those permits it.
fn random_id() -> SessionId {
    let id = format!("probe-{:016x}", fastrand::u64(..));
    id.parse().expect("letters and digits are an id")
}

impl Tried<'_> {
    /// The pattern of the keys, for the error.
    fn keys(&self) -> String {
        match self {
            Self::Sessions { prefix } | Self::LookUp { prefix } => format!("{prefix}*"),
            Self::OwnKeys { .. } => own_keys::ALL.to_owned(),
            Self::Index { .. } => own_keys::ALL_USERS.to_owned(),
        }
    }

    async fn until_answered(
        &self,
        driver: &dyn Driver,
        deadline: Instant,
    ) -> Result<(), RedisConfigError> {
        loop {
            let Err((command, error)) = self.run(driver).await else {
                return Ok(());
            };
            match error.failure() {
                Failure::Denied => {
                    return Err(RedisConfigError::refused(command, self.keys(), error));
                }
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

    async fn run(&self, driver: &dyn Driver) -> Result<(), (&'static str, DriverError)> {
        match self {
            Self::Sessions { prefix } => {
                let key = [prefix, random_id().expose()].concat();
                run_each(driver, &key).await?;
                run_in_script(driver, RUN_IN_SCRIPTS, &key, &IN_SCRIPTS).await
            }
            Self::LookUp { prefix } => {
                let key = [prefix, random_id().expose()].concat();
                run_in_script(driver, RUN_LOOK_UP, &key, &IN_LOOK_UP).await
            }
            Self::OwnKeys { prefix } => {
                let id = random_id();
                run_each(driver, &replaced_mark(&id)).await?;
                let key = [prefix, id.expose()].concat();
                run_each(driver, &rename_fence(&key)).await
            }
            Self::Index { prefix } => {
                let key = user_hash(random_id().expose(), prefix);
                run_in_script(driver, RUN_INDEX, &key, &IN_INDEX).await
            }
        }
    }
}

/// The first command outside of scripts that fails, with its error.
async fn run_each(driver: &dyn Driver, key: &str) -> Result<(), (&'static str, DriverError)> {
    let of = |command| move |error| (command, error);
    driver.get(key).await.map_err(of("GET"))?;
    let read = driver.get_and_ttl(&key.to_owned().into()).await;
    read.map_err(of("PTTL"))?;
    let set = driver.set(key, Bytes::new(), None, SetIf::Present).await;
    set.map_err(of("SET"))?;
    driver.delete(key).await.map_err(of("DEL"))?;
    Ok(())
}

/// The first of these commands of a script that is refused.
async fn run_in_script(
    driver: &dyn Driver,
    script: &'static str,
    key: &str,
    commands: &[&'static str],
) -> Result<(), (&'static str, DriverError)> {
    let errors = driver.eval(script, &[key], Vec::new()).await;
    let Reply::List(errors) = errors.map_err(|error| ("EVAL", error))? else {
        return Ok(());
    };
    for (command, error) in commands.iter().zip(errors) {
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
