//! The documents: every link leads somewhere, in the repository and in the book, and every document is in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::support::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What is in a directory, at any depth, with an extension.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(dir, &mut |path| {
        if path.extension() == Some(extension.as_ref()) {
            files.push(path.to_owned());
        }
    });
    files
}

fn documents() -> Vec<PathBuf> {
    let top = repository();
    let entries = fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<_> = entries.filter(|path| path.extension() == Some("md".as_ref())).collect();
    for dir in ["docs", "deploy", "crates"] {
        documents.extend(files(&top.join(dir), "md"));
    }
    documents
}

/// A document's links, pictures too, and the anchors of its headings.
#[derive(Default)]
struct Document {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

impl Document {
    fn read(path: &Path) -> Document {
        let text = fs::read_to_string(path).unwrap();
        let mut document = Document::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.add_anchor(&heading.take().unwrap()),
                Event::Text(text) | Event::Code(text) => {
                    heading = heading.map(|heading| heading + &text);
                }
                _ => {}
            }
        }
        document
    }

    /// What the pages of hosting services, and mdBook, make of a heading.
    fn add_anchor(&mut self, heading: &str) {
        let letters = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = letters.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = [anchor.clone()].into_iter().chain(numbered).find(|name| !self.anchors.contains(name));
        self.anchors.extend(free);
    }
}

/// Whether a link stays in what is looked at here.
fn is_local(link: &str) -> bool {
    !link.contains(':') && !link.starts_with("//")
}

#[test]
fn every_link_and_anchor_of_the_documents_leads_somewhere() {
    let documents: BTreeMap<PathBuf, Document> =
        documents().into_iter().map(|path| (path.clone(), Document::read(&path))).collect();
    let mut count = 0;
    let mut faults = Vec::new();
    for (path, document) in &documents {
        for link in document.links.iter().filter(|link| is_local(link)) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let target = target.canonicalize().ok();
            let is_there = target.as_ref().is_some_and(|target| match documents.get(target) {
                Some(document) => anchor.is_empty() || document.anchors.contains(anchor),
                None => anchor.is_empty() && target.starts_with(repository()),
            });
            if !is_there {
                faults.push(format!("{}: {link}", path.strip_prefix(repository()).unwrap().display()));
            }
        }
    }
    assert!(count > 200, "{count}");
    assert!(faults.is_empty(), "these lead nowhere: {faults:#?}");
}

#[test]
fn every_document_is_a_chapter_of_the_book() {
    let docs = repository().join("docs");
    let summary = docs.join("SUMMARY.md");
    let chapters: BTreeSet<_> = Document::read(&summary).links.iter().map(|link| docs.join(link)).collect();
    let there: BTreeSet<_> = files(&docs, "md").into_iter().filter(|path| *path != summary).collect();
    let wrong: Vec<_> = chapters.symmetric_difference(&there).collect();
    assert!(wrong.is_empty(), "these are only in docs/, or only in docs/SUMMARY.md: {wrong:#?}");
}

/// The values of an attribute in a page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    page.split(start.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_link_of_the_book_leads_somewhere() {
    let Some(book) = std::env::var_os("SYNCLINE_BOOK") else {
        return skip("SYNCLINE_BOOK names no book; scripts/book builds one");
    };
    let book = Path::new(&book).canonicalize().unwrap();
    // What is shown for a page that is not there does not know where it is shown.
    let pages = files(&book, "html").into_iter().filter(|path| !path.ends_with("404.html"));
    let pages: BTreeMap<PathBuf, String> =
        pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    assert!(pages.len() > 50, "{}", pages.len());
    let mut faults = Vec::new();
    for (path, page) in &pages {
        let links = [values(page, "href"), values(page, "src")].concat();
        for link in links.into_iter().filter(|link| is_local(link)) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let target = target.canonicalize().ok().filter(|target| target.is_file());
            let has_anchor = |page: &String| anchor.is_empty() || values(page, "id").contains(&anchor);
            if !target.is_some_and(|target| pages.get(&target).is_none_or(has_anchor)) {
                faults.push(format!("{}: {link}", path.strip_prefix(&book).unwrap().display()));
            }
        }
    }
    assert!(faults.is_empty(), "these lead nowhere: {faults:#?}");
}

#[test]
fn references_are_what_the_program_says() {
    for what in ["options", "metrics"] {
        let generated = Syncline::new().arg("generate").arg(what).run().stdout;
        let written = fs::read_to_string(repository().join(format!("docs/{what}.md"))).unwrap();
        assert!(written == generated, "run: syncline generate {what} > docs/{what}.md");
    }
}
