//! The log lines of the source are those of the guide.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const GUIDE: &str = include_str!("../../src/docs/operation.md");
const TARGETS: &str = include_str!("../../src/observe/target.rs");

/// The levels and the fields of a target.
#[derive(Debug, Default, PartialEq)]
struct Lines {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
}

/// Lines of the guide's table.
fn documented() -> BTreeMap<String, Lines> {
    let rows = GUIDE
        .lines()
        .filter(|line| line.starts_with("| `socketioxide_session::"));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let words = columns[2].split(|c: char| !c.is_ascii_lowercase());
        let levels = words.filter(|word| ["error", "warn", "info", "debug"].contains(word));
        let fields = columns[3].split(", ").map(|field| field.trim_matches('`'));
        let lines = Lines {
            levels: levels.map(str::to_owned).collect(),
            fields: fields.map(str::to_owned).collect(),
        };
        (columns[1].trim_matches('`').to_owned(), lines)
    })
    .collect()
}

/// The names and values of the constants.
fn constants() -> BTreeMap<String, String> {
    let lines = TARGETS
        .lines()
        .filter_map(|line| line.strip_prefix("pub(crate) const "));
    lines
        .map(|line| {
            let (name, rest) = line.split_once(": &str = \"").unwrap();
            (name.to_owned(), rest.trim_end_matches("\";").to_owned())
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

/// The level and the arguments of each call of a macro of `tracing`.
fn calls(code: &str) -> Vec<(String, Vec<String>)> {
    let starts = code
        .match_indices("tracing::")
        .map(|(at, name)| at + name.len());
    starts
        .filter_map(|start| {
            let (name, _) = code[start..].split_once("!(")?;
            let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '$';
            let is_macro = !name.is_empty() && name.chars().all(is_name);
            let arguments = start + name.len() + 2;
            is_macro.then(|| (name.to_owned(), arguments_of(&code[arguments..])))
        })
        .collect()
}

/// Splits the arguments of a macro, up to its closing parenthesis.
fn arguments_of(code: &str) -> Vec<String> {
    let (mut all, mut depth, mut quoted) = (vec![String::new()], 0, false);
    for c in code.chars() {
        quoted ^= c == '"';
        match c {
            ')' if depth == 0 && !quoted => break,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if depth == 0 && !quoted => all.push(String::new()),
            _ => {}
        }
        if c != ',' || depth > 0 || quoted {
            all.last_mut().unwrap().push(c);
        }
    }
    let trimmed = all.iter().map(|argument| argument.trim().to_owned());
    trimmed.filter(|argument| !argument.is_empty()).collect()
}

/// The levels that a macro of this name logs at; `$level` is used within one, for any.
fn levels_of<'a>(name: &'a str, code: &'a str) -> Vec<&'a str> {
    match name {
        "$level" => code
            .match_indices("log_at!(")
            .filter_map(|(at, call)| code[at + call.len()..].split(')').next())
            .collect(),
        "debug_span" => vec!["debug"],
        name => vec![name],
    }
}

#[test]
fn every_log_line_has_a_target_and_fields_of_the_guide() {
    let constants = constants();
    let mut found = BTreeMap::<String, Lines>::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for path in sources(&src) {
        let code = fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code = code.lines().filter(is_code).collect::<Vec<_>>().join("\n");
        for (name, arguments) in calls(&code) {
            let path = path.display();
            let constant = arguments[0].strip_prefix("target: target::");
            let constant = constant.unwrap_or_else(|| panic!("{path}: {name}!({arguments:?})"));
            let lines = found.entry(constants[constant].clone()).or_default();
            lines
                .levels
                .extend(levels_of(&name, &code).into_iter().map(str::to_owned));
            for field in &arguments[1..] {
                let field = field.trim_start_matches(['%', '?']);
                let field = field.split('=').next().unwrap().trim();
                // A message, or the constant that names a span.
                if !field.starts_with('"') && field != "NAME" {
                    lines.fields.insert(field.to_owned());
                }
            }
        }
    }
    assert!(
        found
            .values()
            .map(|lines| lines.levels.len())
            .sum::<usize>()
            >= 15
    );
    assert_eq!(found, documented());
    assert_eq!(constants.len(), found.len());
}
