//! The list of adversarial cases, `tests/cases.md`, and the promises of `SECURITY.md` name tests that exist.

use std::{fs, path::Path};

/// The Rust source below a path, or below the module of `tests/it/` with this name.
fn source(place: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = root.join("tests/it").join(place);
    let paths = [root.join(place), module.with_extension("rs"), module];
    let texts: Vec<_> = paths.iter().filter_map(|path| text(path)).collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn text(path: &Path) -> Option<String> {
    if path.is_file() {
        return fs::read_to_string(path).ok();
    }
    let entries = fs::read_dir(path).ok()?;
    let texts = entries.filter_map(|entry| text(&entry.unwrap().path()));
    Some(texts.collect())
}

#[test]
fn every_listed_test_exists() {
    let list = include_str!("../cases.md");
    let found = find_tests(list.lines().filter_map(|row| row.split(" | ").nth(2)));
    assert!(found > 100, "only {found} tests were found in the list");
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let promises = include_str!("../../SECURITY.md");
    let rows = promises
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter(|line| !line.starts_with("| promise "));
    let found = find_tests(rows.map(|row| {
        let tests = row.split(" | ").nth(1).unwrap();
        assert!(tests.contains('`'), "no test: {row}");
        tests
    }));
    assert!(found > 40, "only {found} tests were found");
}

/// The number of tests in the cells, such as "`live`: `one`, `another`; `src/key.rs`: `a_third`".
fn find_tests<'a>(cells: impl Iterator<Item = &'a str>) -> usize {
    let mut found = 0;
    let mut missing = Vec::new();
    for tests in cells {
        for place in tests.split("; ") {
            let mut names = place.split('`').skip(1).step_by(2);
            let Some(place) = names.next() else {
                continue; // The head of a table.
            };
            let Some(source) = source(place) else {
                missing.push(place.to_owned());
                continue;
            };
            for name in names {
                match source.contains(&format!("fn {name}(")) {
                    true => found += 1,
                    false => missing.push(format!("{place} {name}")),
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    found
}
