//! Two nodes on one Redis, while things break.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use socketioxide_session::{RedisStore, Session, UpdateError, store::StoreErrorKind};

use crate::support::{
    redis::{PATIENT, Redis, key},
    server::{Server, Setup, User},
    socket::Client,
    soon, until,
};

async fn node(redis: &Redis, max_stale: Duration) -> Server {
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    let setup = Setup::new().say_why().store(store);
    setup
        .bridge(move |bridge| {
            bridge
                .revalidate_every(Duration::from_millis(300))
                .max_stale(max_stale)
        })
        .start()
        .await
}

#[tokio::test]
async fn a_node_that_is_cut_off_for_too_long_ends_its_sockets() {
    let mut redis = Redis::start().await;
    let node = node(&redis, Duration::from_secs(8)).await;
    let ann = node.login("Ann").await;
    let mut tab = node.connected(&ann).await;
    redis.kill();
    // New ones are refused meanwhile, and this one goes on.
    soon("a refusal", async {
        let mut other = node.client(&[("cookie", &node.pair(&ann))]).await;
        while other.refused("/", "").await != r#"44{"message":"STORE_ERROR"}"# {
            other = node.client(&[("cookie", &node.pair(&ann))]).await;
        }
    })
    .await;
    assert_eq!(
        tab.ask("/", "whoami").await,
        r#"[{"name":"Ann","visits":0}]"#
    );
    assert_eq!(
        tab.frame_of("42").await,
        r#"42["ended","store-unreachable"]"#
    );
    assert_eq!(tab.frame().await, "41");
    node.assert_empty().await;
    redis.restart().await;
    soon("a login", async {
        let user = User {
            name: "Bob".into(),
            visits: 0,
        };
        while node.sessions.create(user.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

const SESSIONS: usize = 12;
const TASKS: u64 = 8;
const STEPS: usize = 120;

/// Expected state of one session.
struct Model {
    session: Session<User>,
    acknowledged: u32,
    /// Failed, and may have happened.
    unknown: u32,
    over: bool,
}

struct World {
    nodes: [Server; 2],
    models: Vec<Mutex<Model>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_breaks_again_and_again_nothing_is_lost_and_no_ended_session_is_live() {
    let redis = Redis::start().await;
    let minute = Duration::from_mins(1);
    let nodes = [node(&redis, minute).await, node(&redis, minute).await];
    let mut models = Vec::new();
    for _ in 0..SESSIONS {
        models.push(Mutex::new(Model {
            session: nodes[0].login("Ann").await,
            acknowledged: 0,
            unknown: 0,
            over: false,
        }));
    }
    let world = Arc::new(World { nodes, models });
    let tasks: Vec<_> = (0..TASKS)
        .map(|seed| tokio::spawn(live(world.clone(), seed)))
        .collect();
    for _ in 0..4 {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        redis.cli(&["SCRIPT", "FLUSH"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
        redis.freeze();
        tokio::time::sleep(Duration::from_millis(700)).await;
        redis.thaw();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut tabs = Vec::new();
    for task in tasks {
        tabs.extend(task.await.unwrap());
    }
    agree(&world, &redis).await;
    for tab in tabs {
        tab.close().await;
    }
    for node in &world.nodes {
        node.assert_empty().await;
    }
}

/// The store has the acknowledged state, and the sockets are of sessions that are there.
async fn agree(world: &World, redis: &Redis) {
    for model in &world.models {
        let (session, acknowledged, unknown, over) = {
            let model = model.lock();
            (
                model.session.clone(),
                model.acknowledged,
                model.unknown,
                model.over,
            )
        };
        let key = format!("session:{}", session.id().expose());
        if over {
            soon("an ended session is deleted", async {
                while redis.cli(&["EXISTS", &key]) != "0" {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            })
            .await;
        } else {
            let stored: User = serde_json::from_str(&redis.cli(&["GET", &key])).unwrap();
            let possible = acknowledged..=acknowledged + unknown;
            assert!(
                possible.contains(&stored.visits),
                "{} of {possible:?}",
                stored.visits
            );
        }
    }
    let alive = world
        .models
        .iter()
        .filter(|model| !model.lock().over)
        .count();
    for node in &world.nodes {
        until("only sockets of sessions that are there", || {
            node.sessions.live_sessions() <= alive
        })
        .await;
    }
}

/// Connects, updates and logs out; gives the tabs that are left open.
async fn live(world: Arc<World>, seed: u64) -> Vec<Client> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tabs = Vec::new();
    for _ in 0..STEPS {
        let model = &world.models[random.usize(..world.models.len())];
        let node = &world.nodes[random.usize(..2)];
        let session = model.lock().session.clone();
        match random.u32(..100) {
            0..25 => {
                let mut tab = node.client(&[("cookie", &node.pair(&session))]).await;
                tab.send("40").await;
                let frame = tab.frame().await;
                assert!(
                    frame.starts_with("40{") || frame.contains("STORE_ERROR") || model.lock().over,
                    "wrongly refused: {frame}"
                );
                tabs.push(tab);
            }
            25..75 => match session.update(|user| user.visits += 1).await {
                Ok(_) => model.lock().acknowledged += 1,
                Err(UpdateError::Gone) => assert!(model.lock().over, "wrongly gone"),
                Err(_) => model.lock().unknown += 1,
            },
            75..77 => {
                // Half of the sessions stay, to be counted.
                if random.bool()
                    && world.models[..SESSIONS / 2]
                        .iter()
                        .any(|half| std::ptr::eq(half, model))
                {
                    model.lock().over = true;
                    if let Err(error) = session.end().await {
                        let kind = error.kind();
                        assert!(matches!(
                            kind,
                            StoreErrorKind::Timeout | StoreErrorKind::Unavailable
                        ));
                    }
                }
            }
            _ => {
                let pause = Duration::from_millis(random.u64(..30));
                tokio::time::sleep(pause).await;
            }
        }
    }
    tabs
}

#[tokio::test]
async fn what_is_not_reported_is_found_when_it_is_asked_about_again() {
    let redis = Redis::start().await;
    let node = node(&redis, Duration::from_secs(8)).await;
    let ann = node.login("Ann").await;
    let mut tab = node.connected(&ann).await;
    redis.cli(&["FLUSHALL"]);
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(tab.frame().await, "41");
    node.assert_empty().await;
}

#[tokio::test]
async fn a_flush_ends_the_sockets_long_before_they_are_revalidated() {
    let redis = Redis::start().await;
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    let setup = Setup::new().say_why().store(store);
    let hour = Duration::from_hours(1);
    let node = setup
        .bridge(move |bridge| bridge.revalidate_every(hour).max_stale(2 * hour))
        .start()
        .await;
    let ann = node.login("Ann").await;
    let mut tab = node.connected(&ann).await;
    redis.cli(&["FLUSHALL"]);
    assert_eq!(tab.frame().await, r#"42["ended","deleted"]"#);
    assert_eq!(tab.frame().await, "41");
    node.assert_empty().await;
}

/// The server forgets sessions that are live here, and reports each of them as changed. Each is loaded
/// again, by which the server forgets another: at a pace that slows down to one load in five seconds.
#[tokio::test]
async fn a_tracking_table_that_is_too_small_costs_few_loads_and_loses_nothing() {
    let redis = Redis::start_with(&["--tracking-table-max-keys", "10"]).await;
    let store = RedisStore::<User>::connect(&redis.url()).await.unwrap();
    // No periodic check finds what a report missed.
    let setup = Setup::new().say_why().store(store).bridge(|bridge| {
        bridge
            .revalidate_every(Duration::from_hours(1))
            .max_stale(Duration::from_hours(2))
    });
    let node = setup.start().await;
    let mut tabs = Vec::new();
    for nth in 0..40 {
        let session = node.login(&format!("User {nth}")).await;
        tabs.push((node.connected(&session).await, session));
    }
    let loads = || {
        let stats = redis.cli(&["INFO", "commandstats"]);
        let gets = stats.split("cmdstat_get:calls=").nth(1).unwrap();
        gets.split(',').next().unwrap().parse::<usize>().unwrap()
    };
    until("more loads than sessions", || loads() > 2 * tabs.len()).await;
    let few = async {
        let mut before = loads();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let after = loads();
            if after - before < 2 * tabs.len() {
                return;
            }
            before = after;
        }
    };
    soon("two loads of each session in a second at most", few).await;
    for (_, session) in &tabs {
        assert_eq!(redis.cli(&["DEL", &key(session.id())]), "1");
    }
    for (tab, _) in &mut tabs {
        assert_eq!(tab.frame_of("42").await, r#"42["ended","deleted"]"#);
        assert_eq!(tab.frame().await, "41");
    }
    node.assert_empty().await;
}

/// The report of the rename comes at about the time of its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_with_an_open_tab_keeps_the_session() {
    let redis = Redis::start().await;
    let store = RedisStore::<User>::builder(&redis.url()).unwrap();
    let store = store.command_timeout(PATIENT).unwrap();
    let setup = Setup::new().store(store.connect().await.unwrap());
    let server = setup
        .bridge(|bridge| bridge.store_timeout(PATIENT))
        .start()
        .await;
    for _ in 0..400 {
        let ann = server.login("Ann").await;
        let _tab = server.connected(&ann).await;
        let rotated = server.sessions.rotate(&ann).await.unwrap();
        assert!(server.store.load(rotated.id()).await.unwrap().is_some());
    }
}
