//! Test that pages in English and Chinese have the same facts, and that no local link is dead.
//!
//! It compares facts and not words: commands and output, the numbers and code of each table row and
//! of each section's prose, and the targets of links. It is not a Markdown renderer: the pages use
//! only headings, fenced blocks, tables, code spans and inline links.

use outside::program;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Facts of a page.
#[derive(Debug, Default)]
struct Page {
    sections: Vec<Section>,
    /// Anchors, which a link may name after `#`.
    anchors: Vec<String>,
}

/// A heading and the text up to the next one.
#[derive(Debug, Default)]
struct Section {
    /// Line of the heading, from 1.
    line: usize,
    /// Number of the heading's `#`; 0 before the first heading.
    level: usize,
    anchor: String,
    /// Fenced blocks, each with its info string as first line.
    blocks: Vec<String>,
    tables: Vec<Vec<Row>>,
    prose: Facts,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Row {
    line: usize,
    cells: usize,
    facts: Facts,
}

#[derive(Debug)]
struct Link {
    line: usize,
    target: String,
}

/// Numbers and code spans of a text, in alphabetical order, because languages have different word
/// orders.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    numbers: Vec<String>,
    code: Vec<String>,
}

impl Facts {
    fn of(text: &str) -> Facts {
        let mut facts = Facts::default();
        for (index, part) in text.split('`').enumerate() {
            if index % 2 == 1 {
                facts.code.push(part.split_whitespace().collect::<Vec<_>>().join(" "));
            } else {
                facts.numbers.extend(numbers(&without_targets(part)));
            }
        }
        facts.numbers.sort();
        facts.code.sort();
        facts
    }

    /// The same without repetitions: in prose a language may need to name a thing again.
    fn once(mut self) -> Facts {
        self.numbers.dedup();
        self.code.dedup();
        self
    }

    /// The differences of `chinese`, as text; `None` if there are none.
    fn difference(&self, chinese: &Facts) -> Option<String> {
        let lists =
            [("numbers", &self.numbers, &chinese.numbers), ("code", &self.code, &chinese.code)];
        let said: Vec<String> = lists
            .into_iter()
            .filter(|(_, english, chinese)| english != chinese)
            .map(|(what, english, chinese)| {
                format!(
                    "{what}: only in English {:?}, only in Chinese {:?}",
                    beyond(english, chinese),
                    beyond(chinese, english)
                )
            })
            .collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Elements of `some` that `others` does not have, with multiplicity.
fn beyond<'a>(some: &'a [String], others: &[String]) -> Vec<&'a str> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for other in others {
        *left.entry(other).or_default() += 1;
    }
    some.iter()
        .map(String::as_str)
        .filter(|text| match left.get_mut(text) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect()
}

/// Runs of digits, with a point between digits.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        rest = &rest[start..];
        let mut end = 0;
        for (index, c) in rest.char_indices() {
            let digit_follows = || rest[index + 1..].starts_with(|c: char| c.is_ascii_digit());
            if !(c.is_ascii_digit() || c == '.' && digit_follows()) {
                break;
            }
            end = index + 1;
        }
        found.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    found
}

/// The text without the targets of its links.
fn without_targets(text: &str) -> String {
    let mut parts = text.split("](");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push(']');
        kept.push_str(part.split_once(')').map_or("", |(_, after)| after));
    }
    kept
}

/// Targets of a line's inline links and HTML attributes, without code.
fn targets(line: &str) -> Vec<String> {
    let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("\u{0}");
    let mut found = Vec::new();
    for (begin, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
        for part in plain.split(begin).skip(1) {
            let target = part.split(end).next().unwrap_or_default();
            found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
        }
    }
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
    {
        found.push(target.trim().to_owned());
    }
    found
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(title: &str) -> String {
    let mut title = title.to_owned();
    while let Some((before, rest)) = title.split_once("](") {
        let (before, rest) = (before.replace('[', ""), rest.split_once(')').unwrap_or_default().1);
        title = before + rest;
    }
    title
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .flat_map(char::to_lowercase)
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

impl Page {
    fn parse(text: &str) -> Page {
        let mut page = Page { sections: vec![Section::default()], anchors: Vec::new() };
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut prose = String::new();
        let mut fence: Option<(String, String)> = None;
        let mut in_table = false;
        for (number, line) in (1..).zip(text.lines()) {
            let trimmed = line.trim_start();
            if let Some((mark, mut block)) = fence.take() {
                if trimmed.trim_end() == mark {
                    page.last().blocks.push(block);
                } else {
                    block.push('\n');
                    block.push_str(line);
                    fence = Some((mark, block));
                }
                continue;
            }
            if let Some(info) = trimmed.strip_prefix("```") {
                fence = Some(("```".to_owned(), info.trim().to_owned()));
                in_table = false;
                continue;
            }
            let level = line.bytes().take_while(|b| *b == b'#').count();
            if (1..=6).contains(&level) && line[level..].starts_with(' ') {
                page.last().prose = Facts::of(&prose).once();
                prose.clear();
                let plain = anchor(&line[level..]);
                let count = seen.entry(plain.clone()).or_default();
                let anchor = if *count == 0 { plain } else { format!("{plain}-{count}") };
                *count += 1;
                page.anchors.push(anchor.clone());
                page.sections.push(Section { line: number, level, anchor, ..Section::default() });
                in_table = false;
                continue;
            }
            for begin in ["id=\"", "name=\""] {
                let named = line.split(begin).skip(1).filter_map(|part| part.split('"').next());
                page.anchors.extend(named.map(str::to_owned));
            }
            let links = targets(line).into_iter().map(|target| Link { line: number, target });
            page.last().links.extend(links);
            if !trimmed.starts_with('|') {
                in_table = false;
                prose.push_str(line);
                prose.push('\n');
                continue;
            }
            if trimmed.chars().all(|c| "|-: ".contains(c)) && trimmed.contains('-') {
                continue;
            }
            if !in_table {
                page.last().tables.push(Vec::new());
                in_table = true;
            }
            let cells = trimmed.replace("\\|", "").matches('|').count();
            let row = Row { line: number, cells, facts: Facts::of(trimmed) };
            page.last().tables.last_mut().expect("one was pushed").push(row);
        }
        assert!(fence.is_none(), "a fenced block has no end");
        page.last().prose = Facts::of(&prose).once();
        page
    }

    fn last(&mut self) -> &mut Section {
        self.sections.last_mut().expect("a page has the section above its first heading")
    }

    fn links(&self) -> impl Iterator<Item = &Link> {
        self.sections.iter().flat_map(|section| &section.links)
    }
}

/// All pages by their path in the repository.
type Pages = BTreeMap<PathBuf, Page>;

/// The page in the other language; both have the same name, except the README.
fn chinese_of(english: &Path) -> PathBuf {
    if english == Path::new("README.md") {
        return PathBuf::from("README.zh-CN.md");
    }
    match english.strip_prefix("docs") {
        Ok(name) => Path::new("docs/zh").join(name),
        Err(_) => PathBuf::from("no page"),
    }
}

/// The file that a link of `page` names, and its anchor; `None` for addresses on the Web.
fn resolve(page: &Path, target: &str) -> Option<(PathBuf, Option<String>)> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (target, None),
    };
    let joined = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap_or(Path::new("")).join(file),
    };
    let mut path = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    Some((path, anchor))
}

/// A link's target in a form that is equal for both languages: the English page instead of the
/// Chinese one, and the number of a heading instead of its anchor.
fn meaning(pages: &Pages, page: &Path, target: &str) -> String {
    let Some((path, anchor)) = resolve(page, target) else { return target.to_owned() };
    let english = pages.keys().find(|english| chinese_of(english) == path);
    let heading = anchor.map(|anchor| {
        let sections = pages.get(&path).map(|page| page.sections.as_slice()).unwrap_or_default();
        match sections.iter().position(|section| section.anchor == anchor) {
            Some(index) => format!("#{index}"),
            None => format!("#{anchor}"),
        }
    });
    format!("{}{}", english.unwrap_or(&path).display(), heading.unwrap_or_default())
}

/// Each fact of `english` that its Chinese page does not have, or has with other values.
fn differences(pages: &Pages, english: &Path) -> Vec<String> {
    let chinese = chinese_of(english);
    let (Some(ours), Some(theirs)) = (pages.get(english), pages.get(&chinese)) else {
        return vec![format!("{} has no {}", english.display(), chinese.display())];
    };
    let mut wrong = Vec::new();
    let mut say = |line: usize, what: String| {
        wrong.push(format!("{}:{line}: {what}", chinese.display()));
    };
    let levels = |page: &Page| page.sections.iter().map(|part| part.level).collect::<Vec<_>>();
    if levels(ours) != levels(theirs) {
        let what = format!("headings {:?}, in English {:?}", levels(theirs), levels(ours));
        say(1, what);
        return wrong;
    }
    for (ours, theirs) in ours.sections.iter().zip(&theirs.sections) {
        let line = theirs.line;
        if ours.blocks != theirs.blocks {
            let at = ours.blocks.iter().zip(&theirs.blocks).position(|(a, b)| a != b);
            let at = at.map_or("their number".to_owned(), |index| format!("block {}", index + 1));
            say(line, format!("fenced blocks differ: {at}"));
        }
        let rows = |section: &Section| section.tables.iter().map(Vec::len).collect::<Vec<_>>();
        if rows(ours) != rows(theirs) {
            say(line, format!("rows {:?}, in English {:?}", rows(theirs), rows(ours)));
        } else {
            for (ours, theirs) in ours.tables.iter().flatten().zip(theirs.tables.iter().flatten()) {
                if ours.cells != theirs.cells {
                    say(theirs.line, "the row has another number of cells".to_owned());
                }
                if let Some(what) = ours.facts.difference(&theirs.facts) {
                    say(theirs.line, format!("row of line {} in English: {what}", ours.line));
                }
            }
        }
        if let Some(what) = ours.prose.difference(&theirs.prose) {
            say(line, format!("text of this section: {what}"));
        }
        let lead = |page: &Path, section: &Section| {
            let mut list: Vec<String> = section
                .links
                .iter()
                .map(|link| meaning(pages, page, &link.target))
                .filter(|target| Path::new(target) != english) // the other language, at the top
                .collect();
            list.sort();
            list
        };
        let (ours, theirs) = (lead(english, ours), lead(&chinese, theirs));
        if ours != theirs {
            say(
                line,
                format!(
                    "links: only in English {:?}, only in Chinese {:?}",
                    beyond(&ours, &theirs),
                    beyond(&theirs, &ours)
                ),
            );
        }
    }
    wrong
}

/// Each dead local link of `page`.
fn dead_links(pages: &Pages, page: &Path, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut dead = Vec::new();
    for link in pages[page].links() {
        let Some((path, anchor)) = resolve(page, &link.target) else { continue };
        let place = format!("{}:{}: `{}`", page.display(), link.line, link.target);
        match (pages.get(&path), anchor) {
            (Some(there), Some(anchor)) if !there.anchors.contains(&anchor) => {
                dead.push(format!(
                    "{place}: no such heading; the headings are {:?}",
                    there.anchors
                ));
            }
            (None, _) if !exists(&path) => dead.push(format!("{place}: no such file")),
            _ => {}
        }
    }
    dead
}

/// All Markdown files of the project, without build results and hidden folders other than .ci and
/// .github.
fn all_pages() -> Pages {
    fn walk(root: &Path, folder: &Path, pages: &mut Pages) {
        for entry in
            fs::read_dir(root.join(folder)).expect("a folder of the tree lists its entries")
        {
            let entry = entry.expect("it lists its entries");
            let name = entry.file_name().into_string().expect("names are UTF-8");
            let path = folder.join(&name);
            let kind = entry.file_type().expect("it has a type");
            let ours = !name.starts_with('.') || [".ci", ".github"].contains(&name.as_str());
            if kind.is_dir() && ours && name != "target" {
                walk(root, &path, pages);
            } else if kind.is_file() && name.ends_with(".md") {
                let text = fs::read_to_string(root.join(&path)).expect("a page is UTF-8");
                pages.insert(path, Page::parse(&text));
            }
        }
    }
    let mut pages = Pages::new();
    walk(program::root(), Path::new(""), &mut pages);
    pages
}

/// The pages that the project promises in both languages; more may exist.
const IN_BOTH: [&str; 7] = [
    "README.md",
    "docs/calling-out.md",
    "docs/choosing.md",
    "docs/limits.md",
    "docs/migrating-from-python.md",
    "docs/status-codes.md",
    "docs/tutorial.md",
];

#[test]
fn chinese_pages_have_the_commands_numbers_and_links_of_the_english_ones() {
    let pages = all_pages();
    let mut english: BTreeSet<&Path> = IN_BOTH.iter().map(Path::new).collect();
    english
        .extend(pages.keys().map(PathBuf::as_path).filter(|p| pages.contains_key(&chinese_of(p))));
    let wrong: Vec<String> = english.iter().flat_map(|page| differences(&pages, page)).collect();
    assert!(
        wrong.is_empty(),
        "change the Chinese page with the English one:\n{}",
        wrong.join("\n")
    );
    let of_nothing: Vec<_> = pages
        .keys()
        .filter(|page| page.starts_with("docs/zh"))
        .filter(|page| !english.iter().any(|english| chinese_of(english) == **page))
        .collect();
    assert!(of_nothing.is_empty(), "Chinese pages without an English one: {of_nothing:?}");
}

#[test]
fn both_pages_of_a_pair_link_to_each_other_at_the_top() {
    let pages = all_pages();
    for english in pages.keys() {
        let chinese = chinese_of(english);
        if !pages.contains_key(&chinese) {
            continue;
        }
        for (page, other) in [(english, &chinese), (&chinese, english)] {
            let at_top = pages[page]
                .links()
                .take_while(|link| link.line <= 6)
                .filter_map(|link| resolve(page, &link.target))
                .any(|(path, _)| path == *other);
            assert!(at_top, "{} has no link to {} at its top", page.display(), other.display());
        }
    }
}

#[test]
fn no_local_link_of_any_page_is_dead() {
    let pages = all_pages();
    assert!(pages.len() > 10, "{:?}", pages.keys());
    let exists = |path: &Path| program::root().join(path).exists();
    let dead: Vec<String> =
        pages.keys().flat_map(|page| dead_links(&pages, page, exists)).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

const ENGLISH: &str = "\
# One page

[中文](zh/one.md)

It takes 12.5 ms with `just run`, see [below](#the-numbers) and [two](two.md).

```sh
just run   # for 3 s
```

## The numbers

| what | takes |
|---|---|
| `a` | 5 ms, 6.5 KiB |
| `b` | 7 ms |
";

const CHINESE: &str = "\
# 一页

[English](../one.md)

先看[第二页](../two.md)和[下面](#数字)：`just run` 需要 12.5 ms。

```sh
just run   # for 3 s
```

## 数字

| 名称 | 耗时 |
|---|---|
| `a` | 6.5 KiB，5 ms |
| `b` | 7 ms |
";

/// The two pages of the samples, and a third that they link to.
fn samples(english: &str, chinese: &str) -> Pages {
    let pages = [("docs/one.md", english), ("docs/zh/one.md", chinese), ("docs/two.md", "# Two\n")];
    pages.into_iter().map(|(path, text)| (PathBuf::from(path), Page::parse(text))).collect()
}

#[test]
fn the_check_passes_pages_that_differ_in_words_only() {
    let pages = samples(ENGLISH, CHINESE);
    assert_eq!(differences(&pages, Path::new("docs/one.md")), Vec::<String>::new());
    for page in pages.keys() {
        assert_eq!(dead_links(&pages, page, |_| false), Vec::<String>::new());
    }
}

#[test]
fn the_check_finds_each_change_of_only_one_page() {
    #[rustfmt::skip] // a table, not a list of lines
    let changes = [
        ("just run   # for 3 s", "just ran   # for 3 s", "fenced blocks"),
        ("just run   # for 3 s", "just run   # for 4 s", "fenced blocks"),
        ("```sh\njust", "```text\njust", "fenced blocks"),
        ("| `b` | 7 ms |\n", "", "rows"),
        ("| `b` | 7 ms |", "| `b` | 8 ms |", "row of line"),
        ("| `b` | 7 ms |", "| `c` | 7 ms |", "row of line"),
        ("| `b` | 7 ms |", "| `b` | 7 ms | |", "cells"),
        ("12.5 ms", "12.6 ms", "text of this section"),
        ("`just run`", "`just test`", "text of this section"),
        ("two.md", "three.md", "links"),
        ("(#", "(two.md#", "links"),
        ("\n## ", "\n### ", "headings"),
    ];
    for (from, to, expected) in changes {
        for (english, chinese) in [
            (ENGLISH.replace(from, to), CHINESE.to_owned()),
            (ENGLISH.to_owned(), CHINESE.replace(from, to)),
        ] {
            assert!(english != ENGLISH || chinese != CHINESE, "`{from}` is in the samples");
            let found = differences(&samples(&english, &chinese), Path::new("docs/one.md"));
            assert!(
                found.iter().any(|what| what.contains(expected)),
                "`{from}` → `{to}`: expected `{expected}`, found {found:?}"
            );
        }
    }
}

#[test]
fn the_check_finds_dead_links() {
    for (from, to, expected) in [
        ("(two.md)", "(three.md)", "no such file"),
        ("(#the-numbers)", "(#numbers)", "no such heading"),
        ("(two.md)", "(two.md#three)", "no such heading"),
        ("(two.md)", "(../two.md)", "no such file"),
    ] {
        let pages = samples(&ENGLISH.replace(from, to), CHINESE);
        let found = dead_links(&pages, Path::new("docs/one.md"), |_| false);
        assert!(
            found.iter().any(|what| what.contains(expected)),
            "`{from}` → `{to}`: expected `{expected}`, found {found:?}"
        );
    }
}

#[test]
fn anchors_are_those_that_github_makes() {
    for (title, expected) in [
        ("Slow peers", "slow-peers"),
        (
            "`just new PATH [KIND] [FLAGS]` (`firstbyte new`)",
            "just-new-path-kind-flags-firstbyte-new",
        ),
        ("5. `just bench-coldstart [FLAGS]`", "5-just-bench-coldstart-flags"),
        ("Start: exec to the first byte", "start-exec-to-the-first-byte"),
        ("先看是谁返回的？", "先看是谁返回的"),
        ("JSON 与内存", "json-与内存"),
        ("A [link](to.md) here", "a-link-here"),
    ] {
        assert_eq!(anchor(title), expected);
    }
}
