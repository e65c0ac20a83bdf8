//! Pages as text: prose is at most 120 columns wide, and the files that pages name are in the tree.
//!
//! Not a Markdown renderer. Tables, fenced blocks and lines that nobody can break (a link, an
//! address) may be wider. Local links are a test of languages.rs.

use outside::program::root;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Widest line of prose, in characters.
const COLUMNS: usize = 120;

/// What begins the path of a file of this repository on any page.
const FOLDERS: [&str; 10] = [
    ".cargo/",
    ".ci/",
    "benches/",
    "build/",
    "docs/",
    "examples/",
    "fuzz/",
    "src/",
    "template/",
    "tests/",
];

/// Endings of the names of files that ARCHITECTURE.md may name without their folders.
const ENDINGS: [&str; 6] = [".rs", ".md", ".toml", ".json", ".c", ".txt"];

/// Files that our programs write: no page finds them in the tree.
const WRITTEN: [&str; 3] = ["results.json", "plan.json", "image.json"];

/// Pages that name files of other projects: where test data came from.
const ABOUT_OTHERS: [&str; 2] =
    ["benches/coldstart/tests/data/README.md", "tests/data/events/README.md"];

/// Folders that a path may begin in besides the root: a new project has its src/ and tests/.
const PROJECTS: [&str; 2] = ["", "template/"];

/// Every file below the root and every folder (with `/` at its end); what is built is left out, and
/// so is what is hidden but for the folders of configuration.
fn tree() -> BTreeSet<String> {
    fn walk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder of the tree lists its entries") {
            let entry = entry.expect("it lists its entries");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let kind = entry.file_type().expect("it has a type");
            let path = entry.path();
            let place = path.strip_prefix(root()).expect("it is below").display().to_string();
            let ours = !name.starts_with('.') || [".cargo", ".ci", ".github"].contains(&&*name);
            if kind.is_dir() && ours && name != "target" {
                found.insert(place + "/");
                walk(&path, found);
            } else if kind.is_file() {
                found.insert(place);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(root(), &mut found);
    found
}

/// Every Markdown page: its path and its text.
fn pages(tree: &BTreeSet<String>) -> Vec<(&str, String)> {
    let names = tree.iter().filter(|name| name.ends_with(".md"));
    names
        .map(|name| (&**name, fs::read_to_string(root().join(name)).expect("a page is UTF-8")))
        .collect()
}

/// Lines of prose, with their numbers from 1: no table and no fenced block.
fn prose(page: &str) -> Vec<(usize, &str)> {
    let mut in_fence = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let text = line.trim_start().trim_start_matches("> ");
        let is_fence = text.starts_with("```");
        if !is_fence && !in_fence && !text.starts_with('|') {
            found.push((number, line));
        }
        in_fence ^= is_fence;
    }
    found
}

/// Whether a line can be broken: a blank is between two words of it that is not in its first one.
fn is_breakable(line: &str) -> bool {
    let text = line.trim_start().trim_start_matches(['-', '>', '*', ' ']);
    text.trim_end().contains(' ')
}

/// Numbers of the lines of prose that are too wide.
fn wide(page: &str) -> Vec<usize> {
    prose(page)
        .into_iter()
        .filter(|(_, line)| line.chars().count() > COLUMNS && is_breakable(line))
        .map(|(number, _)| number)
        .collect()
}

/// Words of a line that could be paths: plain characters, no placeholder.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let is_of_a_path = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    // What stands around a path is not what it can hang together with: `https://`, `<X>`, `a/*.rs`.
    let separators = |c: char| c.is_whitespace() || "`()[]|,;\"'（），。；：、".contains(c);
    line.split(separators)
        .map(|word| word.trim_end_matches([':', '.', '?', '!']))
        .filter(move |word| !word.is_empty() && word.chars().all(is_of_a_path))
        .filter(|word| !word.split(['/', '-', '.']).any(is_placeholder))
}

/// `NAME` in `tests/NAME.rs`; the names of files of ours in capitals are not.
fn is_placeholder(part: &str) -> bool {
    let is_ours = ["README", "CONTRACTS", "ARCHITECTURE", "SPECIFICATION", "CHANGELOG"];
    part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()) && !is_ours.contains(&part)
        || part == "N"
}

/// Whether something in the tree is `path`, with or without the `/` of a folder.
fn is_there(tree: &BTreeSet<String>, path: &str) -> bool {
    tree.contains(path) || tree.contains(&format!("{path}/"))
}

/// What a page names from the root and is not there.
fn missing(tree: &BTreeSet<String>, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in prose_and_tables(page) {
        for word in words(line) {
            let word = word.strip_prefix("./").unwrap_or(word);
            if FOLDERS.iter().any(|folder| word.starts_with(folder))
                && !PROJECTS.iter().any(|project| is_there(tree, &format!("{project}{word}")))
            {
                found.push(format!("line {number}: `{word}` is not in the tree"));
            }
        }
    }
    found
}

/// All lines but those of fenced blocks, which show output and other people's trees.
fn prose_and_tables(page: &str) -> Vec<(usize, &str)> {
    let mut in_fence = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let is_fence = line.trim_start().starts_with("```");
        in_fence ^= is_fence;
        if !in_fence && !is_fence {
            found.push((number, line));
        }
    }
    found
}

/// What ARCHITECTURE.md names and is not there: a path, or the end of one (`transport/lane.rs`).
fn missing_by_its_end(tree: &BTreeSet<String>, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in prose_and_tables(page) {
        for word in words(line) {
            let is_named = ENDINGS.iter().any(|end| word.ends_with(end) && word.len() > end.len())
                || word.ends_with('/') && word.len() > 1;
            let (end, folder) = (format!("/{word}"), format!("/{word}/"));
            let is_an_end =
                |path: &String| path.ends_with(&end) || path.ends_with(&folder) || path == word;
            if is_named && !WRITTEN.contains(&word) && !tree.iter().any(is_an_end) {
                found.push(format!("line {number}: `{word}` is not in the tree"));
            }
        }
    }
    found
}

#[test]
fn prose_is_at_most_120_columns_wide() {
    let tree = tree();
    let wrong: Vec<String> = pages(&tree)
        .iter()
        .flat_map(|(name, text)| wide(text).into_iter().map(move |line| format!("{name}:{line}")))
        .collect();
    assert!(wrong.is_empty(), "wrap these lines at {COLUMNS} columns:\n{}", wrong.join("\n"));
}

#[test]
fn the_files_that_pages_name_are_in_the_tree() {
    let tree = tree();
    let pages = pages(&tree);
    assert!(pages.len() > 40, "the pages are elsewhere");
    let wrong: Vec<String> = pages
        .iter()
        .filter(|(name, _)| !ABOUT_OTHERS.contains(name))
        .flat_map(|(name, text)| {
            missing(&tree, text).into_iter().map(move |what| format!("{name}: {what}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_files_that_architecture_names_by_their_ends_are_in_the_tree() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    let named: usize = text.lines().map(|line| words(line).count()).sum();
    assert!(named > 500, "it names {named} words");
    let wrong = missing_by_its_end(&tree(), &text);
    assert!(wrong.is_empty(), "ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

/// The checks can fail: each bad line is found, and nothing else is.
#[test]
fn a_wide_line_and_a_missing_file_are_found() {
    let (fits, wider) = ("é ".repeat(60), "é ".repeat(61));
    let link = format!("- [text]({})", "x".repeat(130));
    let page = format!("{fits}\n{wider}\n| {wider} |\n```text\n{wider}\n```\n{link}\n  {wider}\n");
    assert_eq!(wide(&page), [2, 8]);

    let tree = ["src/", "src/app.rs", "template/src/main.rs", "docs/README.md"];
    let tree: BTreeSet<String> = tree.map(str::to_owned).into();
    let page = "`src/app.rs`, src/main.rs and [x](docs/README.md).\nNot src/gone.rs: \
                https://a/src/b, tests/NAME.rs, src/*.rs\n```text\nsrc/output.rs\n```\n\
                src/, docs/none\n";
    let found = missing(&tree, page);
    assert_eq!(
        found,
        ["line 2: `src/gone.rs` is not in the tree", "line 6: `docs/none` is not in the tree"]
    );
    let page = "app.rs, main.rs, results.json, gone.rs, `src/`, lib/\n";
    let found = missing_by_its_end(&tree, page);
    assert_eq!(
        found,
        ["line 1: `gone.rs` is not in the tree", "line 1: `lib/` is not in the tree"]
    );
}
