//! The links of the Markdown files lead to files, and to modules of the documentation.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FILES: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "examples/express/README.md",
];

const DOCS: &str = "https://docs.rs/socketioxide-session/latest/socketioxide_session/";

/// The targets of `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<&str> {
    let inline = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let named = text
        .lines()
        .filter(|line| line.starts_with('['))
        .filter_map(|line| line.split_once("]: "))
        .map(|(_, target)| target);
    inline.chain(named).collect()
}

/// The source of a page of the documentation: a module, or its text.
fn sources_of(page: &str) -> [PathBuf; 3] {
    let module = Path::new("src").join(page.trim_end_matches('/'));
    [
        module.with_extension("rs"),
        module.with_extension("md"),
        module.join("mod.rs"),
    ]
}

#[test]
fn every_link_leads_to_something() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut pages) = (0, 0);
    for file in FILES {
        let text = fs::read_to_string(root.join(file)).unwrap();
        for link in links(&text) {
            let target = link.split('#').next().unwrap();
            if let Some(page) = target.strip_prefix(DOCS) {
                let exists = sources_of(page)
                    .iter()
                    .any(|path| root.join(path).is_file());
                assert!(exists, "{file}: {link}");
                pages += 1;
            } else if !target.is_empty() && !target.contains("://") {
                let path = root.join(file).with_file_name("").join(target);
                assert!(path.exists(), "{file}: {link}");
                files += 1;
            }
        }
    }
    assert!(files > 15 && pages > 10, "{files} files, {pages} pages");
}
