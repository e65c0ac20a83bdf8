//! Function order: the order of a program's functions and variables in memory. Those that a start
//! uses come first, in the order of their first use. A start then touches few pages in sequence;
//! code for errors and later requests stays on disk.
//!
//! An order is a text with one name per line: as rustc-demangle prints it without hashes, or a C
//! name as it is; `crate::*` means all names that mention that crate; `#` begins a comment. Symbols
//! of Rust have hashes that change with compiler, version and folder, so names are matched when a
//! program is linked (`cargo::link`). A package brings its order with
//! `[package.metadata.microimage] order = "FILE"`.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

/// A parsed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Position of each name.
    places: HashMap<String, usize>,
    /// Crates with their position; their symbols follow the names.
    crates: Vec<(String, usize)>,
}

impl Order {
    /// Parses an order. If a name occurs twice, its first position counts.
    pub fn parse(text: &str) -> Order {
        let mut order = Order::default();
        let lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for (place, line) in lines.enumerate() {
            match line.strip_suffix("::*") {
                Some(name) => order.crates.push((format!("{name}::"), place)),
                None => {
                    order.places.entry(line.to_owned()).or_insert(place);
                }
            }
        }
        order
    }

    /// Content for the linker's `--symbol-ordering-file`: those of `symbols` that the order
    /// contains, and C names, which the linker looks up itself.
    pub fn of_symbols<'a>(&self, symbols: impl Iterator<Item = &'a str>) -> String {
        // Several symbols may have one name. They are sorted, so that the bytes are always the
        // same.
        let mut placed = BTreeSet::new();
        for symbol in symbols {
            let name = name(symbol);
            let of_crate = || {
                self.crates
                    .iter()
                    .find(|(prefix, _)| mentions(&name, prefix))
                    .map(|(_, place)| *place)
            };
            if let Some(place) = self.places.get(&name).copied().or_else(of_crate) {
                placed.insert((place, symbol));
            }
        }
        let names = self.places.iter().filter(|(name, _)| is_c(name));
        placed.extend(names.map(|(name, place)| (*place, name.as_str())));
        placed.iter().fold(String::new(), |mut text, (_, symbol)| {
            let _ = writeln!(text, "{symbol}");
            text
        })
    }
}

/// The name of a symbol, without the parts that change with compiler, version and folder.
pub fn name(symbol: &str) -> String {
    // Suffixes that the compiler appends when it clones or splits a function; rustc-demangle leaves
    // some of them.
    let symbol = symbol.split_once(".llvm.").map_or(symbol, |(symbol, _)| symbol);
    format!("{:#}", rustc_demangle::demangle(symbol))
}

fn is_c(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte))
}

/// Whether `name` contains `prefix`, a crate with its colons, as a whole word.
fn mentions(name: &str, prefix: &str) -> bool {
    name.match_indices(prefix)
        .any(|(at, _)| !name[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_STD: &str = "_RNvNtCs2Nb3gJ4iU0I_3std3env4vars";
    const AGAIN: &str = "_RNvNtCs9Zz3gJ4iU0I_3std3env4vars";
    const OF_USER: &str = "_RNvCsaz6eC2DG7lh_5hello6handle";
    const OLD: &str = "_ZN3std4path4Path4join17h0123456789abcdefE";

    #[test]
    fn names_have_no_hashes() {
        assert_eq!(name(OF_STD), "std::env::vars");
        assert_eq!(name(AGAIN), "std::env::vars");
        assert_eq!(name(OLD), "std::path::Path::join");
        assert_eq!(name(&format!("{OF_STD}.llvm.1234")), "std::env::vars");
        assert_eq!(name("memcpy"), "memcpy");
    }

    #[test]
    fn listed_symbols_precede_those_of_a_crate() {
        let order = Order::parse(
            "# comment\nstd::path::Path::join\n\n_start\nstd::env::vars\n\
             std::path::Path::join\nhello::*\n",
        );
        let symbols = [OF_USER, AGAIN, "cold", OF_STD, OLD];
        assert_eq!(
            order.of_symbols(symbols.into_iter()),
            format!("{OLD}\n_start\n{OF_STD}\n{AGAIN}\n{OF_USER}\n")
        );
        let mut reversed = symbols;
        reversed.reverse();
        assert_eq!(order.of_symbols(reversed.into_iter()), order.of_symbols(symbols.into_iter()));
    }

    #[test]
    fn a_crate_is_matched_as_a_whole_word() {
        assert!(mentions("<hello::Greeting as serde::Deserialize>::deserialize", "hello::"));
        assert!(!mentions("other_hello::f", "hello::") && !mentions("std::hello::f", "hello::"));
    }
}
