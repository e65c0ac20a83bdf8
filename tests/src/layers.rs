//! Layer check: the files of a crate form a stack, and every import goes downwards.
//!
//! A *room* is a file `name.rs` with all files in the folder `name/`, or a part of one that the
//! list names itself (`platform/environment`): the longest name that fits a file is its room. A
//! [`Stack`] lists the rooms from the lowest layer up, one layer per row. A room imports rooms of
//! lower rows only; imports within a room are free. Names are followed through re-exports (`pub
//! use`), at any depth, to the file that defines them. It does not see what [`crate::source`] does
//! not see: test code, and expansions of macros of other files.

use crate::source::{self, Exports, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by layer, the lowest first.
pub type Layers<'a> = &'a [&'a [&'a str]];

/// The order of a crate's rooms, or of the rooms in one of its folders.
#[derive(Clone, Copy, Debug)]
pub struct Stack<'a> {
    /// The folder whose rooms these are, relative to the crate's source folder; `""` is all of it.
    /// The file of the same name (`transport.rs` for `transport`) stands above them.
    pub folder: &'a str,
    /// All rooms, by layer.
    pub layers: Layers<'a>,
    /// Rooms that import only each other and doors. A separate rule forbids impure names within a
    /// file; together they cover everything that a pure room reaches.
    pub pure: &'a [&'a str],
    /// Rooms that are not pure and that a pure room may import.
    pub doors: &'a [&'a str],
}

/// The source of a crate, read once.
#[derive(Debug)]
pub struct Crate {
    name: String,
    files: Vec<File>,
    /// The names that each module's `use` declarations import, by the module's path.
    imports: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug)]
struct File {
    /// Relative to the crate's source folder, without `.rs` and `/mod`: `transport/lane`.
    place: String,
    /// `firstbyte::transport::lane`; the crate's name for lib.rs and main.rs.
    module: String,
    /// For messages: relative to the repository.
    name: String,
    source: Source,
}

impl Crate {
    /// Reads all Rust files below `folder` (relative to `root`), the source of the crate `name`.
    ///
    /// # Panics
    /// If a file cannot be read or is not Rust.
    pub fn read(root: &Path, folder: &str, name: &str) -> Crate {
        let texts: Vec<(String, String)> = rust_files(&root.join(folder))
            .into_iter()
            .map(|path| {
                let below = path.strip_prefix(root).expect("it is below").to_string_lossy();
                let text = fs::read_to_string(&path).expect("a source file can be read");
                (below.into_owned(), text)
            })
            .collect();
        assert!(!texts.is_empty(), "no Rust file in {folder}: the source is elsewhere");
        let texts: Vec<(&str, &str)> =
            texts.iter().map(|(name, text)| (&**name, &**text)).collect();
        Crate::from_texts(folder, name, &texts)
    }

    /// The crate `name` of these files: names relative to the repository, and their text.
    ///
    /// # Panics
    /// If a text is not Rust.
    pub fn from_texts(folder: &str, name: &str, texts: &[(&str, &str)]) -> Crate {
        let files: Vec<File> = texts
            .iter()
            .map(|(file_name, text)| {
                let place = file_name.trim_start_matches(folder).trim_start_matches('/');
                let place = place.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
                let module = match &*place {
                    "lib" | "main" => name.to_owned(),
                    _ => format!("{name}::{}", place.replace('/', "::")),
                };
                let source = source::read(text, &module, &Exports::new());
                File { place, module, name: (*file_name).to_owned(), source }
            })
            .collect();
        let mut result = Crate { name: name.to_owned(), files, imports: BTreeMap::new() };
        for file in &result.files {
            let names = file.source.mentions.iter().filter_map(|mention| {
                let path = result.anchor(file, &mention.path)?;
                Some((mention.imported.clone()?, path))
            });
            let names: Vec<_> = names.collect();
            result.imports.entry(file.module.clone()).or_default().extend(names);
        }
        result
    }

    /// All violations of `stack`, each with file, line and remedy.
    pub fn violations(&self, stack: &Stack<'_>) -> Vec<String> {
        let rooms = Rooms::new(stack);
        let mut found = rooms.problems.clone();
        let mut inhabited = BTreeSet::new();
        for file in &self.files {
            let Some(place) = below(stack.folder, &file.place) else { continue };
            let Some(room) = rooms.of(place) else {
                found.push(format!("{}: in no layer; add `{place}` to the list", file.name));
                continue;
            };
            inhabited.insert(room);
            for mention in &file.source.mentions {
                let Some(target) = self.file_of(file, &mention.path) else { continue };
                let at = format!("{}:{}: `{}`", file.name, mention.line, mention.path);
                match below(stack.folder, &target.place) {
                    Some(place) => {
                        let Some(other) = rooms.of(place) else { continue };
                        found.extend(rooms.wrong(room, other).map(|why| format!("{at} {why}")));
                    }
                    None if target.place == stack.folder => found.push(format!(
                        "{at} is upwards: `{}` stands above the rooms in its folder",
                        stack.folder
                    )),
                    None => {} // another folder's; the crate's own stack checks it
                }
            }
        }
        let empty = rooms.heights.keys().filter(|room| !inhabited.contains(*room));
        found.extend(
            empty.map(|room| format!("`{room}` is in a layer and is not a file: remove it")),
        );
        found
    }

    /// The file that defines `path`, as `file` names it; `None` if that is another crate's or
    /// `file` itself.
    fn file_of(&self, file: &File, path: &str) -> Option<&File> {
        let mut path = self.anchor(file, path)?;
        // A chain of re-exports is short; a circular one does not compile.
        for _ in 0..8 {
            let module = self.module_of(&path);
            let rest = path[module.len()..].trim_start_matches("::");
            let (name, further) = rest.split_once("::").unwrap_or((rest, ""));
            match self.imports.get(module).and_then(|names| names.get(name)) {
                Some(import) if *import != path => {
                    path = [import, further].join("::").trim_end_matches(':').to_owned();
                }
                _ => break,
            }
        }
        let module = self.module_of(&path);
        let target = self.files.iter().find(|file| file.module == module)?;
        (target.module != file.module).then_some(target)
    }

    /// `path` from the crate's root on; `None` if it leads elsewhere.
    fn anchor(&self, file: &File, path: &str) -> Option<String> {
        let first = path.split("::").next()?;
        if first == self.name {
            return Some(path.to_owned());
        }
        let child = format!("{}::{first}", file.module);
        self.has_module(&child).then(|| format!("{}::{path}", file.module))
    }

    /// The longest part of `path` that is a file.
    fn module_of<'p>(&self, path: &'p str) -> &'p str {
        let mut module = path;
        while !self.has_module(module) {
            match module.rsplit_once("::") {
                Some((outer, _)) => module = outer,
                None => break,
            }
        }
        module
    }

    fn has_module(&self, module: &str) -> bool {
        self.files.iter().any(|file| file.module == module)
    }
}

/// A stack's list, prepared for queries.
struct Rooms<'a> {
    /// Each room's layer, counted from the lowest.
    heights: BTreeMap<&'a str, usize>,
    pure: BTreeSet<&'a str>,
    doors: BTreeSet<&'a str>,
    /// Mistakes in the list itself.
    problems: Vec<String>,
}

impl<'a> Rooms<'a> {
    fn new(stack: &Stack<'a>) -> Rooms<'a> {
        let mut rooms = Rooms {
            heights: BTreeMap::new(),
            pure: stack.pure.iter().copied().collect(),
            doors: stack.doors.iter().copied().collect(),
            problems: Vec::new(),
        };
        for (height, layer) in stack.layers.iter().enumerate() {
            for room in *layer {
                if rooms.heights.insert(room, height).is_some() {
                    rooms.problems.push(format!("`{room}` is in two layers: remove one"));
                }
            }
        }
        for room in stack.pure.iter().chain(stack.doors) {
            if !rooms.heights.contains_key(room) {
                rooms.problems.push(format!("`{room}` is pure or a door and in no layer"));
            }
        }
        rooms
    }

    /// The room of a file: the longest name that is the file or a folder around it.
    fn of(&self, place: &str) -> Option<&'a str> {
        self.heights.keys().copied().filter(|room| is_in(place, room)).max_by_key(|room| room.len())
    }

    /// Why `room` must not import `other`.
    fn wrong(&self, room: &str, other: &str) -> Option<String> {
        if room == other {
            return None;
        }
        let why = match self.heights[other].cmp(&self.heights[room]) {
            std::cmp::Ordering::Greater => "is upwards",
            std::cmp::Ordering::Equal => "is on the same layer",
            std::cmp::Ordering::Less => {
                let allowed = !self.pure.contains(room)
                    || self.pure.contains(other)
                    || self.doors.contains(other);
                return (!allowed).then(|| {
                    format!("is impure: `{room}` is pure, and `{other}` is neither pure nor a door")
                });
            }
        };
        Some(format!("{why}: `{room}` must not import `{other}`; move what both need below them"))
    }
}

/// `place` relative to `folder`, if it is in it.
fn below<'p>(folder: &str, place: &'p str) -> Option<&'p str> {
    match folder {
        "" => Some(place),
        _ => place.strip_prefix(folder)?.strip_prefix('/'),
    }
}

fn is_in(place: &str, room: &str) -> bool {
    place.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All Rust files in `folder` and the folders in it, in order.
///
/// # Panics
/// If the folder cannot be read.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("a folder lists its entries").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: Stack<'_> = Stack {
        folder: "",
        layers: &[&["clock", "text"], &["parse", "sort"], &["net"], &["page"], &["lib", "main"]],
        pure: &["text", "parse", "page"],
        doors: &[],
    };

    /// A crate that follows `STACK`, with `changed` in place of some of its files.
    fn house(changed: &[(&str, &str)]) -> Crate {
        let mut texts = vec![
            ("src/clock.rs", "pub fn now() -> u64 { 0 }"),
            (
                "src/lib.rs",
                "mod clock; mod net; mod page; mod parse; mod sort; mod text; pub use parse::Tree;",
            ),
            ("src/main.rs", "fn main() { house::page::show(); }"),
            ("src/net.rs", "mod link; mod wait; pub use link::Link; use crate::parse::Tree;"),
            ("src/net/link.rs", "use super::wait::wait; use crate::clock; pub struct Link;"),
            ("src/net/wait.rs", "pub fn wait() { crate::clock::now(); }"),
            ("src/page.rs", "use crate::Tree; use crate::text::Text; pub fn show() {}"),
            ("src/parse.rs", "use crate::text::{self, Text}; pub struct Tree;"),
            ("src/sort.rs", "#[cfg(test)] mod tests { use crate::page; }"),
            ("src/text.rs", "pub struct Text;"),
        ];
        for (name, text) in changed {
            texts.retain(|(known, _)| known != name);
            texts.push((name, text));
        }
        Crate::from_texts("src", "house", &texts)
    }

    #[track_caller]
    fn assert_found(stack: &Stack<'_>, changed: &[(&str, &str)], expected: &[&str]) {
        let found = house(changed).violations(stack);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "`{found}` does not say `{expected}`");
        }
    }

    #[test]
    fn a_stack_has_no_violations() {
        assert_found(&STACK, &[], &[]);
    }

    #[test]
    fn an_upward_import_is_found_in_every_spelling() {
        for text in [
            "use crate::page;",
            "use crate::page::show;",
            "use super::page::show as other;",
            "use crate::{clock, page::*};",
            "fn f() { crate::page::show(); }",
            "fn f() -> u64 { some_macro!(crate::page::show()) }",
            "macro_rules! m { () => { $crate::page::show() } }",
        ] {
            assert_found(&STACK, &[("src/sort.rs", text)], &["src/sort.rs:1: `house::page"]);
        }
    }

    #[test]
    fn an_upward_import_is_found_behind_re_exports() {
        let lib = "mod page; pub use page::show as render; pub use net::Link;";
        let changed = [("src/lib.rs", lib), ("src/text.rs", "\nuse crate::render;")];
        assert_found(
            &STACK,
            &[changed[0], changed[1], ("src/page.rs", "pub fn show() {}")],
            &["src/text.rs:2: `house::render` is upwards: `text` must not import `page`"],
        );
        let through_two = [("src/lib.rs", lib), ("src/sort.rs", "fn f(link: crate::Link) {}")];
        assert_found(
            &STACK,
            &[through_two[0], through_two[1], ("src/page.rs", "pub fn show() {}")],
            &["src/sort.rs:1: `house::Link` is upwards: `sort` must not import `net`"],
        );
        // names that the crate's root defines belong to the top
        assert_found(
            &STACK,
            &[("src/text.rs", "use crate::Version;")],
            &["`text` must not import `lib`"],
        );
    }

    #[test]
    fn an_import_on_the_same_layer_is_found() {
        assert_found(
            &STACK,
            &[("src/sort.rs", "use crate::parse::Tree;")],
            &["src/sort.rs:1: `house::parse::Tree` is on the same layer"],
        );
    }

    #[test]
    fn a_room_may_import_itself() {
        assert_found(&STACK, &[("src/net/wait.rs", "use super::link::Link;")], &[]);
    }

    #[test]
    fn a_file_without_a_layer_and_a_layer_without_a_file_are_found() {
        assert_found(&STACK, &[("src/new.rs", "")], &["src/new.rs: in no layer; add `new`"]);
        assert_found(&STACK, &[("src/a/b.rs", "")], &["src/a/b.rs: in no layer; add `a/b`"]);
        let layers: Layers<'_> = &[
            &["clock", "text", "gone"],
            &["parse", "sort"],
            &["net", "clock"],
            &["page"],
            &["lib", "main"],
        ];
        let stack = Stack { layers, doors: &["never"], ..STACK };
        assert_found(
            &stack,
            &[],
            &[
                "`clock` is in two layers",
                "`never` is pure or a door and in no layer",
                "src/net/link.rs:1: `house::clock` is on the same layer",
                "src/net/wait.rs:1: `house::clock::now` is on the same layer",
                "`gone` is in a layer and is not a file",
            ],
        );
    }

    #[test]
    fn an_impure_room_is_found_two_steps_deep() {
        // page is pure and imports parse, which is pure and imports a clock
        let clocked = [("src/parse.rs", "use crate::clock; pub struct Tree;")];
        let expected = "`parse` is pure, and `clock` is neither pure nor a door";
        assert_found(&STACK, &clocked, &[expected]);
        // if parse is removed from the list instead, page is reported
        let pure: &[&str] = &["text", "page"];
        let expected = "`page` is pure, and `parse` is neither pure nor a door";
        assert_found(&Stack { pure, ..STACK }, &clocked, &[expected]);
        // a door makes the import valid
        assert_found(&Stack { doors: &["clock"], ..STACK }, &clocked, &[]);
    }

    #[test]
    fn a_part_of_a_room_can_be_a_room() {
        let layers: Layers<'_> = &[
            &["clock", "text", "net/wait"],
            &["parse", "sort"],
            &["net"],
            &["page"],
            &["lib", "main"],
        ];
        let stack = Stack { layers, ..STACK };
        assert_found(&stack, &[("src/net/wait.rs", "pub fn wait() {}")], &[]);
        assert_found(
            &stack,
            &[("src/net/wait.rs", "use super::Link;")],
            &["`house::net::Link` is upwards: `net/wait` must not import `net`"],
        );
    }

    #[test]
    fn a_folder_has_a_stack_of_its_own() {
        let layers: Layers<'_> = &[&["wait"], &["link"]];
        let stack = Stack { folder: "net", layers, pure: &[], doors: &[] };
        assert_found(&stack, &[], &[]);
        for (text, expected) in [
            ("use super::link::Link;", "`wait` must not import `link`"),
            ("use super::Link;", "`wait` must not import `link`"),
            ("use crate::net::link;", "`wait` must not import `link`"),
            ("use super::Limits;", "`net` stands above the rooms in its folder"),
            ("use crate::net;", "`net` stands above the rooms in its folder"),
        ] {
            assert_found(&stack, &[("src/net/wait.rs", text)], &[expected]);
        }
        let new = [("src/net/new.rs", "")];
        assert_found(&stack, &new, &["src/net/new.rs: in no layer; add `new`"]);
    }
}
