//! Every link from page to page leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::root;

/// Folders that are not ours.
const ELSEWHERE: [&str; 3] = ["target", "onnxruntime", "node_modules"];

#[test]
fn every_link_in_a_document_leads_somewhere() {
    let pages = pages(root());
    assert!(pages.len() > 10, "the documents were not found");
    let dead: Vec<String> = pages.iter().flat_map(|page| dead(page, &fs::read_to_string(page).unwrap())).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn a_dead_link_and_a_dead_anchor_are_found() {
    let page = root().join("README.md");
    let text = "# A page\n[a](docs/none.md) [b](docs/clients.md#none) [c](#none)\n";
    assert_eq!(dead(&page, text).len(), 3, "{:?}", dead(&page, text));
    let text =
        "# A `good` page!\n[a](docs/clients.md#brokers) [b](#a-good-page) [c](https://example.org/none) [d](docs)\n";
    assert_eq!(dead(&page, text), [""; 0]);
    assert_eq!(dead(&page, "```text\n[a](none.md)\n```\n"), [""; 0]);
}

/// The links of a page that lead nowhere; those to other hosts are not tried.
fn dead(page: &Path, text: &str) -> Vec<String> {
    let links = prose(text).flat_map(|line| line.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    let dead = links.filter(|link| !link.contains("://")).filter(|link| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
        let target = if file == page { Some(text.to_owned()) } else { fs::read_to_string(&file).ok() };
        !(file.exists() && (anchor.is_empty() || target.is_some_and(|target| has_heading(&target, anchor))))
    });
    dead.map(|link| format!("{}: {link}", page.display())).collect()
}

/// Whether a heading has this anchor: its words in small letters, with dashes between.
fn has_heading(text: &str, anchor: &str) -> bool {
    let letter = |c: char| if c == ' ' { Some('-') } else { (c.is_alphanumeric() || "-_".contains(c)).then_some(c) };
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .any(|heading| heading.chars().filter_map(letter).collect::<String>() == anchor)
}

/// The lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Every page below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !ELSEWHERE.contains(&name.as_str()) {
            pages.extend(self::pages(&path));
        } else if name.ends_with(".md") {
            pages.push(path);
        }
    }
    pages
}
