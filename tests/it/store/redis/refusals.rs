//! Servers that refuse commands.

use std::time::Duration;

use socketioxide_session::{
    RedisStore, SessionId, SessionStore,
    store::{Change, RedisConfigError, Saved},
};

use crate::support::{
    log,
    redis::{
        CLUSTER, Cluster, Redis, ann, created, documented_acl, feed, key, must_load,
        until_reported, works,
    },
    server::User,
    soon, until,
};

/// A server with a user `app`, and the URL for it.
async fn with_user(rules: &[&str]) -> (Redis, String) {
    let server = Redis::start().await;
    let made = server.cli(&[&["ACL", "SETUSER", "app", "on", ">pw"], rules].concat());
    assert_eq!(made, "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port);
    (server, url)
}

/// Saves and deletes without reports.
async fn works_without_reports(store: &RedisStore<User>) {
    let id = created(store).await;
    let record = must_load(store, &id).await;
    let saved = store.save(&id, &ann(), &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    assert!(store.delete(&id).await.unwrap());
}

#[tokio::test]
async fn without_hello_it_speaks_resp2() {
    log::capture();
    let no_hello = ["--rename-command", "HELLO", ""];
    let server = Redis::start_with(&no_hello).await;
    server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port);
    let store = RedisStore::connect(&url).await.unwrap();
    assert!(store.changes().is_none());
    works_without_reports(&store).await;
    let log = log::captured();
    assert!(log.contains("the Redis server refuses HELLO"));
    assert!(!log.contains("hunter2"));

    let cluster = Cluster::start_with(&[CLUSTER, &no_hello].concat()).await;
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    assert!(store.changes().is_none());
    works_without_reports(&store).await;
}

#[tokio::test]
async fn without_client_tracking_it_goes_on_without_reports() {
    log::capture();
    let (_server, url) = with_user(&["~*", "+@all", "-client"]).await;
    let store = RedisStore::connect(&url).await.unwrap();
    let mut feed = store.changes().unwrap();
    assert_eq!(feed.next().await, Some(Change::Disconnected));
    until("the log tells", || {
        log::captured().contains("Redis refuses CLIENT TRACKING")
    })
    .await;
    works_without_reports(&store).await;
}

#[tokio::test]
async fn a_server_without_ping_is_no_loss() {
    let (server, url) = with_user(&["~*", "+@all", "-ping"]).await;
    let store = RedisStore::<User>::connect(&url).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    must_load(&store, &id).await;
    // Longer than several heartbeats.
    server.cli(&["PEXPIRE", &key(&id), "5000"]);
    until_reported(&mut feed, &Change::Session(id.clone())).await;
    must_load(&store, &id).await;
    // Its expiry is the next report, and not a loss.
    let next = soon("its expiry", feed.next()).await;
    assert_eq!(next, Some(Change::Session(id)));
}

#[tokio::test]
async fn without_the_right_to_the_mark_the_feed_still_reports() {
    log::capture();
    let own = ["~session:*", r"~\[socketioxide-session\]re*", "+@all"];
    let (server, url) = with_user(&own).await;
    let store = RedisStore::<User>::connect(&url).await.unwrap();
    let mut feed = feed(&store).await;
    let id = created(&store).await;
    must_load(&store, &id).await;
    server.cli(&["DEL", &key(&id)]);
    until_reported(&mut feed, &Change::Session(id)).await;
    assert!(log::captured().contains("a flushed database is not noticed at once"));
}

#[tokio::test]
async fn a_needed_command_that_is_refused_is_named_at_connect() {
    for command in [
        "GET", "SET", "PTTL", "DEL", "EVAL", "PEXPIRE", "EXISTS", "RENAMENX",
    ] {
        let refused = format!("-{}", command.to_lowercase());
        let (_server, url) = with_user(&["~*", "+@all", &refused]).await;
        let error = RedisStore::<User>::connect(&url).await.unwrap_err();
        let RedisConfigError::CommandRefused { command: named, .. } = &error else {
            panic!("{command}: {error:?}");
        };
        assert_eq!(*named, command);
        assert!(error.to_string().contains(command), "{error}");
    }
    let server = Redis::start_with(&["--rename-command", "EVAL", ""]).await;
    let error = RedisStore::<User>::connect(&server.url()).await;
    let error = error.unwrap_err();
    let named = matches!(
        error,
        RedisConfigError::CommandRefused {
            command: "EVAL",
            ..
        }
    );
    assert!(named, "{error:?}");
}

/// Connects with these rules, without and with an index.
async fn connects(rules: &[&str], prefix: &str) -> [Result<(), RedisConfigError>; 2] {
    let (server, url) = with_user(rules).await;
    let builder = || RedisStore::<User>::builder(&url).unwrap().prefix(prefix);
    let plain = builder().unwrap().connect().await;
    let indexed = builder().unwrap().user_id(|_| None).connect().await;
    // The attempts leave nothing.
    assert_eq!(server.cli(&["DBSIZE"]), "0");
    [plain.map(drop), indexed.map(drop)]
}

#[tokio::test]
async fn keys_that_are_refused_are_named_at_connect() {
    let own = r"~\[socketioxide-session\]*";
    let marks_and_fences = r"~\[socketioxide-session\]re*";
    for (rules, prefix, refused) in [
        // Any other prefix than the permitted one.
        (&["~app:*", own][..], "session:", ["session:*"; 2]),
        (&["~session:*"], "session:", ["[socketioxide-session]*"; 2]),
        (
            &["~session:*", r"~\[socketioxide-session\]replaced:*"],
            "session:",
            ["[socketioxide-session]*"; 2],
        ),
        (
            &["~session:*", r"~\[socketioxide-session\]renaming:*"],
            "session:",
            ["[socketioxide-session]*"; 2],
        ),
        (
            &["~session:*", marks_and_fences],
            "session:",
            ["", "[socketioxide-session]user:*"],
        ),
        // Without the backslashes it is a set of characters.
        (
            &["~session:*", "~[socketioxide-session]*"],
            "session:",
            ["[socketioxide-session]*"; 2],
        ),
        (&["~app:*", own], "app:", [""; 2]),
        (&["~*"], "", [""; 2]),
    ] {
        let all = [rules, &["+@all"]].concat();
        let connected = connects(&all, prefix).await;
        for (connected, refused) in connected.into_iter().zip(refused) {
            match connected {
                Ok(()) => assert_eq!(refused, "", "{rules:?}"),
                Err(RedisConfigError::KeysRefused { keys, .. }) => {
                    assert_eq!(keys, refused, "{rules:?}");
                }
                Err(other) => panic!("{rules:?}: {other:?}"),
            }
        }
    }
    let text = connects(&["~session:*", "+@all"], "session:").await[0].clone();
    let text = text.unwrap_err().to_string();
    assert!(text.contains("[socketioxide-session]*"), "{text}");
}

/// Every call that reads or writes the index, also in the background.
async fn uses_the_index(store: &RedisStore<User>) {
    let listed = async |name: &str| {
        let listed = store.sessions_of_user(name).await.unwrap();
        listed
            .into_iter()
            .map(|session| session.id)
            .collect::<Vec<_>>()
    };
    let old = created(store).await;
    let id = SessionId::generate().unwrap();
    assert!(store.rename(&old, &id).await.unwrap());
    assert!(listed("Ann").await.contains(&id));
    soon("the old id leaves the index", async {
        while listed("Ann").await.contains(&old) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let eve = User {
        name: "Eve".into(),
        visits: 0,
    };
    let record = must_load(store, &id).await;
    let saved = store.save(&id, &eve, &record.revision).await.unwrap();
    assert!(matches!(saved, Saved::Saved(_)));
    assert_eq!(listed("Eve").await, std::slice::from_ref(&id));
    soon("it leaves the index of the former user", async {
        while listed("Ann").await.contains(&id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(store.delete(&id).await.unwrap());
}

#[tokio::test]
async fn without_an_index_the_documented_acl_needs_no_commands_for_it() {
    let server = Redis::start().await;
    let index = ["+hset", "+hget", "+hdel", "+hgetall", "+time"];
    let words = documented_acl();
    let words = words.iter().map(String::as_str);
    let words: Vec<&str> = words.filter(|word| !index.contains(word)).collect();
    assert_eq!(server.cli(&words), "OK");
    let url = server.url().replace("://", "://app:password@");
    let store = RedisStore::<User>::connect(&url).await.unwrap();
    works(&store, |key| {
        server.cli(&["DEL", key]);
    })
    .await;
    assert_eq!(server.cli(&["ACL", "LOG"]), "", "something was refused");
}

#[tokio::test]
async fn the_documented_acl_is_enough_and_grants_only_what_is_needed() {
    let words = documented_acl();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let single = Redis::start().await;
    let cluster = Cluster::start().await;
    for (url, servers) in [
        (single.url(), vec![&single]),
        (cluster.url(), cluster.masters.iter().collect()),
    ] {
        for server in &servers {
            assert_eq!(server.cli(&words), "OK");
        }
        let url = url.replace("://", "://app:password@");
        let builder = RedisStore::<User>::builder(&url).unwrap();
        let builder = builder.user_id(|user| Some(user.name.clone()));
        let store = builder.connect().await.unwrap();
        works(&store, |key| {
            servers[0].cli(&["-c", "DEL", key]);
        })
        .await;
        let id = SessionId::generate().unwrap();
        store.mark_replaced(&id).await.unwrap();
        assert!(store.was_replaced(&id).await.unwrap());
        uses_the_index(&store).await;
        for server in servers {
            assert_eq!(server.cli(&["ACL", "LOG"]), "", "something was refused");
            let other = ["--user", "app", "--pass", "password", "GET", "other"];
            assert_eq!(server.cli(&other).split(' ').next(), Some("NOPERM"));
        }
    }
}

#[tokio::test]
async fn zero_is_refused_where_it_is_set() {
    let builder = || RedisStore::<User>::builder("redis://127.0.0.1").unwrap();
    for (setting, refused) in [
        ("connections", builder().connections(0)),
        ("heartbeat", builder().heartbeat(Duration::ZERO)),
        ("command_timeout", builder().command_timeout(Duration::ZERO)),
        ("connect_timeout", builder().connect_timeout(Duration::ZERO)),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, RedisConfigError::Zero(named) if named == setting));
    }
}
