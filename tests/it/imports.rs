//! The structure of the source: who may name whom.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}

/// The code of each file in `src`, by its path there, without comments and tests.
fn code() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src)
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&src)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let text = fs::read_to_string(path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            (name, lines.collect::<Vec<_>>().join("\n"))
        })
        .filter(|(name, _)| !name.ends_with("tests.rs"))
        .collect()
}

#[track_caller]
fn assert_named_only_in(word: &str, allowed: &[&str]) {
    for (name, code) in code() {
        let named = code.contains(&format!("use {word}::"))
            || code.contains(&format!("{word}::"))
            || code.contains(&format!("{word}_core::"));
        let may = allowed.iter().any(|allowed| name.starts_with(allowed));
        assert!(may || !named, "src/{name} names {word}");
    }
}

#[test]
fn each_framework_is_named_in_one_place() {
    assert_named_only_in("socketioxide", &["socketio"]);
    assert_named_only_in("axum_core", &["http/axum.rs"]);
    assert_named_only_in("fred", &["store/redis"]);
}

#[test]
fn imports_point_one_way() {
    // Each may name those before it. `rejection` speaks of what all the earlier ones say.
    const LAYERS: [&[&str]; 10] = [
        &["key", "hook", "redact"],
        &["id"],
        &["handshake", "transport"],
        &["extractor", "store"],
        &["live"],
        &["rejection"],
        &["session"],
        &["bridge"],
        &["request"],
        &["socketio", "http"],
    ];
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut checked = 0;
    for (name, code) in code() {
        let module = name.split(['/', '.']).next().unwrap().to_owned();
        let Some(own) = layer(&module) else {
            assert!(
                ["lib", "testing"].contains(&&*module),
                "src/{name} has no layer"
            );
            continue;
        };
        for (other_layer, others) in LAYERS.iter().enumerate() {
            for other in others.iter().filter(|other| **other != module) {
                let names = code.contains(&format!("    {other}::"))
                    && code.contains("use crate::{")
                    || code.contains(&format!("crate::{other}::"));
                assert!(!names || other_layer < own, "src/{name} names {other}");
                checked += 1;
            }
        }
    }
    assert!(checked > 100);
}
