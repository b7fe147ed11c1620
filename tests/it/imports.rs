//! The structure of the source: which module may name which.

use std::{
    collections::{BTreeMap, BTreeSet},
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
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The code of each file in `src`, by its path there, without comments and tests.
fn code() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
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
        .filter(|(name, _)| !name.contains("tests"))
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
    assert_named_only_in("fred", &["store/redis/driver"]);
    // Else a recorder of metrics could be called under a lock.
    assert_named_only_in("parking_lot", &["lock/"]);
    assert_named_only_in("metrics", &["observe/"]);
}

/// The modules of the crate root, from the bottom up: each may name those before it.
const LAYERS: [&[&str]; 12] = [
    &[
        "key", "recent", "redact", "causes", "deadline", "lock", "split",
    ],
    &["observe"],
    &["id", "blocking"],
    &["handshake", "transport"],
    &["extractor", "store"],
    &["live"],
    &["rejection"],
    &["session"],
    &["bridge"],
    &["request"],
    &["socketio", "http"],
    // Stands beside the bridge, and nothing imports it.
    &["interop"],
];

#[test]
fn other_session_crates_are_named_in_interop_only() {
    for (name, code) in code() {
        let may = name.starts_with("interop/");
        assert!(may || !code.contains("tower_sessions_core"), "src/{name}");
        let names = code.contains("interop::") && name != "lib.rs";
        assert!(may || !names, "src/{name} names interop");
    }
}

#[test]
fn imports_point_one_way() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut checked = 0;
    for (name, code) in code() {
        let module = name.split(['/', '.']).next().unwrap().to_owned();
        let Some(own) = layer(&module) else {
            assert!(
                ["lib", "testing", "docs"].contains(&&*module),
                "src/{name} has no layer"
            );
            continue;
        };
        for path in imports(&code) {
            let ["crate", other, ..] = path.split("::").collect::<Vec<_>>()[..] else {
                continue;
            };
            let Some(other_layer) = layer(other) else {
                continue;
            };
            assert!(
                other == module || other_layer < own,
                "src/{name} names {other}"
            );
            let of_interop = [
                "id",
                "key",
                "lock",
                "recent",
                "observe",
                "handshake",
                "extractor",
                "store",
                "interop",
            ];
            assert!(
                module != "interop" || of_interop.contains(&other),
                "src/{name} names {other}"
            );
            checked += 1;
        }
    }
    assert!(checked > 100);
}

/// No file imports, over any number of others, itself. A `mod.rs` does not import what it re-exports.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let code: BTreeMap<String, String> = code().into_iter().collect();
    let mut edges: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in &code {
        let targets = imports(text)
            .into_iter()
            .filter_map(|path| file_of(&code, name, &path))
            .filter(|target| target != name);
        edges.insert(name, targets.collect());
    }
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 200);
    for start in edges.keys() {
        let (mut seen, mut next) = (BTreeSet::new(), vec![(*start).to_owned()]);
        while let Some(name) = next.pop() {
            for target in &edges[&*name] {
                assert!(
                    target != start,
                    "src/{start} imports itself over src/{name}"
                );
                if seen.insert(target.clone()) {
                    next.push(target.clone());
                }
            }
        }
    }
}

/// The paths of all private `use` declarations, and of what is named by `crate::` elsewhere.
fn imports(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap();
        let starts_a_line = line.trim().is_empty();
        if starts_a_line && let Some((tree, _)) = code[at + 4..].split_once(';') {
            flatten("", tree, &mut paths);
        }
    }
    let reexport = |line: &&str| !line.trim_start().starts_with("pub");
    for line in code.lines().filter(reexport) {
        for (at, _) in line.match_indices("crate::") {
            let path = line[at..].split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
            paths.extend(path.take(1).map(str::to_owned));
        }
    }
    paths
}

/// The paths of a tree of `use`.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut item) = (0, String::new());
    for c in tree.chars().chain([',']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c != ',' || depth > 0 {
            item.push(c);
            continue;
        }
        let text = std::mem::take(&mut item);
        match text.trim().split_once('{') {
            None if text.trim().is_empty() => {}
            None => paths.push(format!("{prefix}{}", text.trim())),
            Some((start, rest)) => {
                let inner = rest.trim_end().strip_suffix('}').unwrap();
                flatten(&format!("{prefix}{}", start.trim()), inner, paths);
            }
        }
    }
}

/// The file that a path leads to from a file, if it is one of the crate's.
fn file_of(code: &BTreeMap<String, String>, from: &str, path: &str) -> Option<String> {
    let from = from.strip_suffix(".rs").unwrap();
    let mut module: Vec<&str> = from.split('/').filter(|part| *part != "mod").collect();
    if from == "lib" {
        module.clear();
    }
    let mut parts = path.split("::").peekable();
    match parts.next()? {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            module.pop();
            while parts.next_if(|part| *part == "super").is_some() {
                module.pop();
            }
        }
        first if code.contains_key(&format!("{}/{first}.rs", module.join("/"))) => {
            module.push(first);
        }
        _ => return None,
    }
    let exists = |module: &[&str]| {
        let path = module.join("/");
        [format!("{path}.rs"), format!("{path}/mod.rs")]
            .into_iter()
            .find(|name| code.contains_key(name))
    };
    for part in parts {
        module.push(part);
        if exists(&module).is_none() {
            module.pop();
            break;
        }
    }
    exists(&module)
}
