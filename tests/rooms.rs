//! Test of ARCHITECTURE.md, "Who may import whom" and "unsafe has named doors": it reads the
//! source. A violation names file, line and reason. It cannot see names that a macro of a
//! dependency makes, and the code of dependencies.

use outside::layers::{Crate, Layers, Stack, rust_files};
use outside::program::root;
use outside::source::{self, Exports, Source};
use std::fs;

/// One row of the table: names that these files must not use.
struct Rule {
    /// Files and folders, relative to the repository.
    rooms: &'static [&'static str],
    /// Files within them that may use the names.
    doors: &'static [&'static str],
    never: &'static [&'static str],
    because: &'static str,
}

const SOCKETS: [&str; 4] = ["std::net", "std::os::fd", "std::os::unix::net", "libc"];
const CLOCK: [&str; 2] = ["std::time::Instant", "std::time::SystemTime"];
const PURE_BUILD: &[&str] = &[
    "build/src/assemble.rs",
    "build/src/contents.rs",
    "build/src/digest.rs",
    "build/src/elf.rs",
    "build/src/entry.rs",
    "build/src/extras.rs",
    "build/src/ignore.rs",
    "build/src/image.rs",
    "build/src/inspect.rs",
    "build/src/instruction.rs",
    "build/src/json.rs",
    "build/src/layer.rs",
    "build/src/loadable.rs",
    "build/src/order.rs",
    "build/src/provenance.rs",
    "build/src/recipe.rs",
    "build/src/reference.rs",
    "build/src/rootfs.rs",
    "build/src/sbom.rs",
    "build/src/scf.rs",
    "build/src/words.rs",
];
/// Pure rooms, with the names of a stack and the paths of a rule.
struct Pure {
    rooms: &'static [&'static str],
    files: &'static [&'static str],
}

macro_rules! pure {
    ($folder:literal: $($room:literal),*) => {
        Pure { rooms: &[$($room),*], files: &[$(concat!($folder, $room)),*] }
    };
}

/// The function server from the ground up (ARCHITECTURE.md, "src/").
const SERVER: Layers<'_> = &[
    &["alloc", "json_string", "secret", "spare", "stopping", "sys", "wire"],
    &["body", "deadline", "error", "headers"],
    &["json", "log"],
    &["conversation"],
    &["reply"],
    &["platform"],
    &["context"],
    &["request"],
    &["asked", "event", "portable", "transport"],
    &["around", "handler", "net", "trigger", "websocket"],
    &["access_log", "cors", "handshake", "route"],
    &["app"],
    &["boot", "test"],
    &["lib"],
];
/// Its rooms that are tested without a server: they have no socket and no coroutine, and time is a
/// value.
const PURE_SERVER: Pure = pure!(
    "src/": "around", "asked", "body", "context", "conversation", "cors", "error", "event",
        "handler", "headers", "json", "json_string", "platform", "reply", "request", "route",
        "secret", "spare", "trigger", "websocket", "wire"
);
/// Doors of the pure rooms: the remaining time needs a clock, and the request to stop is a flag
/// that a signal sets.
const DOORS_OF_PURE_SERVER: &[&str] = &["deadline", "stopping"];

const TRANSPORT: Layers<'_> = &[
    &[
        "coroutine",
        "early",
        "limits",
        "listen",
        "locks",
        "once",
        "role",
        "service",
        "stack_guard",
        "stopper",
        "timeline",
        "waiting",
        "worker",
    ],
    &["clock", "event_loop", "lookout", "pace", "panics", "stop"],
    &["shift"],
    &["home"],
    &["threads"],
    &["current", "deadlock", "handling", "loops"],
    &["background", "blocking", "futex", "link", "parker", "readiness", "records", "sleep"],
    &["budget"],
    &["slots"],
    &["outgoing", "server"],
    &["conversing"],
    &["connection"],
    &["accept"],
    &["runtime"],
    &["lane", "minihttp"],
    &["serve"],
];

/// Connections to others.
const NET: Layers<'_> =
    &[&["socket", "until"], &["dial"], &["stream"], &["dns", "early"], &["pool", "resolve"]];
/// A resolver.
const DNS: Stack<'_> = Stack {
    folder: "net/dns",
    layers: &[&["config", "message"], &["lookup"], &["interposed"]],
    pure: &[],
    doors: &[],
};

const RULES: &[Rule] = &[
    Rule {
        rooms: PURE_SERVER.files,
        doors: &[],
        never: &["may"],
        because: "pure: tested without a server",
    },
    Rule { rooms: PURE_SERVER.files, doors: &[], never: &SOCKETS, because: "pure: no sockets" },
    Rule {
        rooms: PURE_SERVER.files,
        doors: &[],
        never: &CLOCK,
        because: "pure: time enters as a value",
    },
    Rule {
        rooms: PURE_SERVER.files,
        doors: &["src/platform/environment.rs"],
        never: &["std::env", "std::fs", "std::process"],
        because: "pure: one door to the environment",
    },
    Rule {
        rooms: &["src/net/dns/config.rs", "src/net/dns/message.rs"],
        doors: &[],
        never: &[CLOCK[0], CLOCK[1], "std::fs", "std::env", "std::process", "libc"],
        because: "pure: bytes in, verdict out",
    },
    Rule {
        rooms: &["src"],
        doors: &["src/transport/minihttp"],
        never: &["may"],
        because: "the server has a scheduler of its own: its comparison is the only door to may",
    },
    Rule {
        rooms: &["src"],
        doors: &["src/transport/coroutine"],
        never: &["generator"],
        because: "coroutine is the only door to the context switch",
    },
    Rule {
        rooms: &["src"],
        doors: &["src/json"],
        never: &["simd_json"],
        because: "json is the only door to simd-json's unsafe code",
    },
    Rule {
        rooms: &["src/transport"],
        doors: &[],
        never: &["firstbyte::platform", "firstbyte::json"],
        because: "replaceable on a bad day: it knows no platform and no JSON",
    },
    Rule {
        rooms: &["src", "template/src"],
        doors: &[],
        never: &["tokio", "hyper", "clap", "anyhow", "microimage", "coldstart", "outside"],
        because: "every byte here is pulled, unpacked and paged in",
    },
    Rule {
        rooms: PURE_BUILD,
        doors: &[],
        never: &["std::fs", "std::net", "std::env", "std::process", "rustix", "libc"],
        because: "same input, same digest",
    },
    Rule { rooms: PURE_BUILD, doors: &[], never: &CLOCK, because: "same input, same digest" },
    Rule {
        rooms: &["build/src", "build/emulator/src", "build/scaffold/src", "build/tc3/src"],
        doors: &[],
        never: &["firstbyte", "coldstart"],
        because: "a function is bytes",
    },
    Rule {
        rooms: &["build/scaffold/src"],
        doors: &[],
        never: &["firstbyte", "coldstart", "microimage"],
        because: "text in, text out: it knows no image but by its digest",
    },
    Rule {
        rooms: &["build/tc3/src"],
        doors: &[],
        never: &["std::fs", "std::net", "std::process", CLOCK[0], CLOCK[1]],
        because: "bytes and seconds in, a signature or a verdict out",
    },
    Rule {
        rooms: &["build/scaffold/src"],
        doors: &["build/scaffold/src/deploy/tccli.rs"],
        never: &["std::process", "std::net", CLOCK[0], CLOCK[1]],
        because: "one door to tccli, nothing else is called",
    },
    Rule {
        rooms: &[
            "benches/coldstart/src",
            "benches/kit/src",
            "benches/start/src",
            "benches/throughput/src",
        ],
        doors: &[],
        never: &["firstbyte"],
        because: "measured from outside, as a platform would",
    },
    Rule {
        rooms: &[
            "benches/kit/src/stats.rs",
            "benches/kit/src/stats",
            "benches/coldstart/src/phase.rs",
            "benches/coldstart/src/plan.rs",
            "benches/coldstart/src/plan",
            "benches/coldstart/src/link.rs",
            "benches/coldstart/src/units.rs",
            "benches/coldstart/src/pipe.rs",
            "benches/coldstart/src/reply.rs",
            "benches/coldstart/src/burst.rs",
            "benches/coldstart/src/compare.rs",
            "benches/coldstart/src/guidance.rs",
            "benches/coldstart/src/guidance",
            "benches/coldstart/src/plot.rs",
            "benches/coldstart/src/plot",
            "benches/coldstart/src/table.rs",
            "benches/coldstart/src/export.rs",
            "benches/coldstart/src/report.rs",
            "benches/coldstart/src/report",
            "benches/coldstart/src/import.rs",
            "benches/coldstart/src/import",
            "benches/coldstart/src/scf/budget.rs",
            "benches/coldstart/src/scf/line.rs",
            "benches/coldstart/src/scf/names.rs",
            "benches/coldstart/src/scf/refusal.rs",
            "benches/start/src/event.rs",
            "benches/start/src/gate.rs",
            "benches/start/src/plot.rs",
            "benches/start/src/plot",
            "benches/start/src/report.rs",
            "benches/start/src/table.rs",
            "benches/throughput/src/report.rs",
            "benches/throughput/src/table.rs",
        ],
        doors: &[],
        never: &[CLOCK[0], CLOCK[1], "std::process", "std::net", "bench_kit::clock"],
        because: "same samples, same picture",
    },
    Rule {
        rooms: &HOST_TOOLS,
        doors: &[
            "build/src/main.rs",
            "benches/coldstart/src/main.rs",
            "benches/start/src/main.rs",
            "benches/throughput/src/main.rs",
            "build/emulator/src/main.rs",
        ],
        never: &["std::env", "std::process::exit", "std::process::ExitCode", "ExitCode"],
        because: "only main.rs reads the environment and chooses exit codes",
    },
];

/// The benches from the ground up (ARCHITECTURE.md, "benches/").
const BENCH_KIT: Stack<'_> = Stack {
    folder: "",
    layers: &[&["stats", "clock", "cores", "host", "floor"], &["lib"]],
    pure: &["stats"],
    doors: &[],
};
const COLDSTART: Stack<'_> = Stack {
    folder: "",
    layers: &[
        &["phase", "link", "units", "request", "owner", "work", "floor"],
        &["results", "pipe", "reply", "baselines"],
        &["plan"],
        &["relay", "registry", "pull", "probe", "burst", "compare", "guidance"],
        &["export", "failure", "plot", "table"],
        &["engine", "report", "scf"],
        &["import", "run"],
        &["lib"],
        &["cli"],
        &["cloud", "planning", "starting"],
        &["main"],
    ],
    pure: &[
        "phase", "link", "units", "pipe", "plan", "burst", "compare", "guidance", "export", "plot",
        "table", "report",
    ],
    // Types of results.json, and its file.
    doors: &["results"],
};
/// The measurement on SCF itself, from log lines and names to a whole run.
const SCF: Stack<'_> = Stack {
    folder: "scf",
    layers: &[
        &["credentials", "line", "names", "pace", "refusal"],
        &["budget", "client", "ledger"],
        &["account", "layer", "logs"],
        &["cleaning", "measure"],
    ],
    pure: &[],
    doors: &[],
};
/// The simulator, from numbers to the terminal's table.
const PLAN: Stack<'_> = Stack {
    folder: "plan",
    layers: &[
        &["random", "duration", "erlang", "histogram", "events"],
        &["distribution", "limiter", "arrivals"],
        &["cold", "provision"],
        &["pool", "measured"],
        &["tally", "fleet", "trace"],
        &["bill", "estimate", "target", "simulate"],
        &["rules", "search"],
        &["sweep", "sizing"],
        &["document"],
        &["answer"],
    ],
    pure: &[],
    doors: &[],
};
const START: Stack<'_> = Stack {
    folder: "",
    layers: &[
        &["event", "host", "precedence", "process", "program", "record", "upstream"],
        &["cache", "launch"],
        &["client"],
        &["sample"],
        &["idle", "trace"],
        &["requests", "step"],
        &["report"],
        &["calls", "gate", "plot", "run", "table"],
        &["lib"],
        &["cli"],
        &["main"],
    ],
    pure: &["event"],
    doors: &[],
};
const THROUGHPUT: Stack<'_> = Stack {
    folder: "",
    layers: &[&["load"], &["report"], &["run", "table"], &["lib"], &["main"]],
    pure: &[],
    doors: &[],
};

/// The functions that call out (ARCHITECTURE.md, "Top level"): the lowest files can be copied
/// alone.
const fn calling(layers: Layers<'_>) -> Stack<'_> {
    Stack { folder: "", layers, pure: &[], doors: &[] }
}
const CALLING: Stack<'_> = calling(&[&["client"], &["main"]]);
const CALLING_HTTPS: Stack<'_> = calling(&[&["http", "link"], &["client"], &["main"]]);
const CALLING_UREQ: Stack<'_> = calling(&[&["link"], &["connector"], &["client"], &["main"]]);
const CALLING_COS: Stack<'_> = calling(&[&["http", "link", "sign"], &["client"], &["main"]]);
const MULTIPART: Stack<'_> = calling(&[&["form"], &["main"]]);
const TRACING: Stack<'_> = calling(&[&["trace"], &["main"]]);

/// Shared code of the tests (ARCHITECTURE.md, "Top level"). fuzz/ compiles `framing` too.
const OUTSIDE: Stack<'_> = Stack {
    folder: "",
    layers: &[
        &["cgroup", "corpus", "events", "framing", "patience", "refusals"],
        &["process", "program", "reply", "source"],
        &["layers", "oracle", "peer"],
        &["server"],
        &["service"],
        &["lib"],
    ],
    pure: &[],
    doors: &[],
};

/// A package of the workspace.
struct Package {
    /// The folder of its source, relative to the repository.
    folder: &'static str,
    /// The first segment of its modules' paths.
    name: &'static str,
    /// Its rooms' order; empty for a package of one file.
    stacks: &'static [Stack<'static>],
}

const PACKAGES: &[Package] = &[
    Package {
        folder: "src",
        name: "firstbyte",
        stacks: &[
            Stack {
                folder: "",
                layers: SERVER,
                pure: PURE_SERVER.rooms,
                doors: DOORS_OF_PURE_SERVER,
            },
            Stack { folder: "transport", layers: TRANSPORT, pure: &[], doors: &[] },
            Stack { folder: "net", layers: NET, pure: &[], doors: &[] },
            DNS,
        ],
    },
    Package { folder: "build/src", name: "microimage", stacks: build_layers::OF_MICROIMAGE },
    Package { folder: "build/emulator/src", name: "emulator", stacks: build_layers::OF_EMULATOR },
    Package { folder: "build/scaffold/src", name: "scaffold", stacks: build_layers::OF_SCAFFOLD },
    Package { folder: "build/tc3/src", name: "tc3", stacks: build_layers::OF_TC3 },
    Package { folder: "benches/kit/src", name: "bench_kit", stacks: &[BENCH_KIT] },
    Package { folder: "benches/coldstart/src", name: "coldstart", stacks: &[COLDSTART, PLAN, SCF] },
    Package { folder: "benches/start/src", name: "start_bench", stacks: &[START] },
    Package { folder: "benches/start/blocking-first/src", name: "blocking_first", stacks: &[] },
    Package { folder: "benches/throughput/src", name: "throughput_bench", stacks: &[THROUGHPUT] },
    Package { folder: "examples/calls/cos/src", name: "call_cos", stacks: &[CALLING_COS] },
    Package { folder: "examples/calls/https/src", name: "call_https", stacks: &[CALLING_HTTPS] },
    Package { folder: "examples/calls/mysql/src", name: "call_mysql", stacks: &[CALLING] },
    Package { folder: "examples/calls/postgres/src", name: "call_postgres", stacks: &[CALLING] },
    Package { folder: "examples/calls/redis/src", name: "call_redis", stacks: &[CALLING] },
    Package { folder: "examples/calls/tokio/src", name: "call_tokio", stacks: &[CALLING] },
    Package { folder: "examples/calls/ureq/src", name: "call_ureq", stacks: &[CALLING_UREQ] },
    Package { folder: "examples/cookies/src", name: "example_cookies", stacks: &[] },
    Package { folder: "examples/multipart/src", name: "example_multipart", stacks: &[MULTIPART] },
    Package { folder: "examples/tracing/src", name: "example_tracing", stacks: &[TRACING] },
    Package { folder: "tests/src", name: "outside", stacks: &[OUTSIDE] },
    Package { folder: "template/src", name: "template", stacks: &[] },
];

/// Dependencies that a package's manifest must not name; if the rule is for the whole package, this
/// includes dev-dependencies.
const MANIFESTS: [(&str, &[&str]); 9] = [
    ("Cargo.toml", &["tokio", "hyper", "clap", "anyhow", "microimage", "coldstart", "outside"]),
    ("build/Cargo.toml", &["firstbyte", "coldstart"]),
    ("build/emulator/Cargo.toml", &["firstbyte", "coldstart"]),
    ("build/scaffold/Cargo.toml", &["firstbyte", "coldstart"]),
    ("build/tc3/Cargo.toml", &["firstbyte", "coldstart", "microimage", "emulator", "scaffold"]),
    ("benches/coldstart/Cargo.toml", &["firstbyte"]),
    ("benches/start/Cargo.toml", &["firstbyte", "coldstart"]),
    ("benches/throughput/Cargo.toml", &["firstbyte", "coldstart"]),
    ("benches/kit/Cargo.toml", &["firstbyte", "coldstart", "start-bench", "microimage"]),
];

const UNSAFE_DOORS: [&str; 9] = [
    "src/transport",
    "src/portable",
    "src/net",
    "src/alloc.rs",
    "src/boot.rs",
    "src/log.rs",
    "src/sys.rs",
    "src/sys",
    "build/src/sandbox",
];
/// The start bench traces, clones and schedules processes, for some of which nix has no interface.
const BENCH_UNSAFE_DOORS: [&str; 5] = [
    "benches/start/src/cache.rs",
    "benches/start/src/client.rs",
    "benches/start/src/launch.rs",
    "benches/start/src/precedence.rs",
    "benches/start/src/trace.rs",
];
const HOST_TOOLS: [&str; 8] = [
    "build/src",
    "build/emulator/src",
    "build/scaffold/src",
    "build/tc3/src",
    "benches/coldstart/src",
    "benches/kit/src",
    "benches/start/src",
    "benches/throughput/src",
];
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// A source file, read once.
struct File {
    /// Relative to the repository, with `/`.
    name: String,
    text: String,
    source: Source,
}

impl File {
    fn is_in(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| {
            self.name
                .strip_prefix(room)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || self.name.strip_suffix(".rs") == Some(room)
        })
    }

    /// All uses in this file that `rule` forbids.
    fn breaks(&self, rule: &Rule) -> Vec<String> {
        if !self.is_in(rule.rooms) || self.is_in(rule.doors) {
            return Vec::new();
        }
        let is_below =
            |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.starts_with("::"));
        let mut found = Vec::new();
        for mention in &self.source.mentions {
            let forbidden = rule.never.iter().find(|never| {
                mention.path == **never
                    || is_below(&mention.path, never)
                    || (mention.hides
                        && is_below(never, &mention.path)
                        && !is_in_use_as_module(&mention.path))
            });
            if let Some(never) = forbidden {
                found.push(format!(
                    "{}:{}: `{}` where `{never}` must not be: {}",
                    self.name, mention.line, mention.path, rule.because
                ));
            }
        }
        found
    }

    fn prints(&self) -> Vec<String> {
        if !self.is_in(&HOST_TOOLS) || self.name.ends_with("/main.rs") {
            return Vec::new();
        }
        let printing =
            self.source.macros.iter().filter(|(_, name)| PRINTING.contains(&name.as_str()));
        printing
            .map(|(line, name)| format!("{}:{line}: `{name}!`: only main.rs prints", self.name))
            .collect()
    }

    /// Imports are in one block, which rustfmt sorts; exports (`pub use`) may be separate.
    fn split_imports(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_split = |at: usize| {
            let (before, gap, line) = (lines[at].trim(), lines[at + 1], lines[at + 2].trim());
            (before.starts_with("use ") || before == "};")
                && gap.is_empty()
                && line.starts_with("use ")
        };
        (0..lines.len().saturating_sub(2))
            .filter(|&at| is_split(at))
            .map(|at| format!("{}:{}: an empty line between imports: remove it", self.name, at + 2))
            .collect()
    }

    fn unargued_unsafe(&self) -> Vec<String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        for &line in &self.source.unsafe_lines {
            if !self.is_in(&UNSAFE_DOORS) && !self.is_in(&BENCH_UNSAFE_DOORS) {
                found.push(format!(
                    "{}:{line}: unsafe code in a file that is not a named door for it",
                    self.name
                ));
            }
            for word in ["JUSTIFICATION:", "SAFETY:"] {
                if !comment_above(&lines, line).contains(word) {
                    found.push(format!(
                        "{}:{line}: an unsafe block without `{word}` above it",
                        self.name
                    ));
                }
            }
        }
        found
    }
}

/// `use std::io::{self}` imports a module; its uses are written as `io::…` and are visible.
fn is_in_use_as_module(path: &str) -> bool {
    path.starts_with("std::") && path.matches("::").count() > 1
}

/// The comment lines directly above the statement of `line` (from 1).
fn comment_above(lines: &[&str], line: usize) -> String {
    let above = lines[..line - 1].iter().rev();
    let is_comment = |text: &&&str| text.trim_start().starts_with("//");
    let gap =
        above.clone().take(4).take_while(|text| !is_comment(text) && !ends_statement(text)).count();
    above.skip(gap).take_while(is_comment).copied().collect::<Vec<_>>().join("\n")
}

fn ends_statement(line: &str) -> bool {
    line.trim_end().ends_with([';', '}']) || line.trim().is_empty()
}

/// All Rust files of the packages whose rooms the table names.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    for &Package { folder, name: crate_name, .. } in PACKAGES {
        let lib = fs::read_to_string(root().join(folder).join("lib.rs")).unwrap_or_default();
        let exports = source::exports(&lib, crate_name);
        for path in rust_files(&root().join(folder)) {
            let name =
                path.strip_prefix(root()).expect("it is below").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a source file can be read");
            files.push(file(name, text, folder, crate_name, &exports));
        }
    }
    assert!(files.len() > 30, "the source is elsewhere");
    files
}

fn file(name: String, text: String, folder: &str, crate_name: &str, exports: &Exports) -> File {
    let inner = name.trim_start_matches(folder).trim_start_matches('/').trim_end_matches(".rs");
    let module = [crate_name]
        .into_iter()
        .chain(inner.split('/').filter(|part| !["lib", "main", "mod"].contains(part)))
        .collect::<Vec<_>>()
        .join("::");
    let source = source::read(&text, &module, exports);
    File { name, text, source }
}

#[track_caller]
fn assert_none(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn no_module_has_a_forbidden_import() {
    let files = files();
    assert_none(
        files.iter().flat_map(|file| RULES.iter().flat_map(|rule| file.breaks(rule))).collect(),
    );
}

#[test]
fn every_package_is_a_stack() {
    let violations = PACKAGES.iter().flat_map(|package| {
        let source = Crate::read(root(), package.folder, package.name);
        package.stacks.iter().flat_map(move |stack| source.violations(stack))
    });
    assert_none(violations.collect());
}

/// A new package must be added to the table.
#[test]
fn every_member_of_the_workspace_is_in_the_table() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ["));
    let members = members.and_then(|list| list.strip_suffix(']')).expect("one line of members");
    let folders =
        members.split(',').map(|member| format!("{}/src", member.trim().trim_matches('"')));
    let mut folders: Vec<String> = folders.chain(["src".to_owned()]).collect();
    folders.sort();
    let mut known: Vec<&str> = PACKAGES.iter().map(|package| package.folder).collect();
    known.sort_unstable();
    assert_eq!(known, folders);
    for package in PACKAGES.iter().filter(|package| package.stacks.is_empty()) {
        let files = rust_files(&root().join(package.folder));
        assert!(files.len() == 1, "{} has {} files and no stack", package.folder, files.len());
    }
}

/// A stack forbids a pure room to import impure rooms; a rule forbids it std's clocks.
#[test]
fn every_pure_room_has_a_rule() {
    let files = files();
    for package in PACKAGES {
        for room in package.stacks.iter().flat_map(|stack| stack.pure) {
            let name = format!("{}/{room}.rs", package.folder);
            let file = files.iter().find(|file| file.name == name);
            let file = file.unwrap_or_else(|| panic!("`{name}` is pure and no file"));
            let has_rule =
                RULES.iter().any(|rule| rule.never.contains(&CLOCK[0]) && file.is_in(rule.rooms));
            assert!(has_rule, "`{name}` is pure in its stack and in no rule about clocks");
        }
    }
}

#[test]
fn every_room_of_the_table_exists() {
    let files = files();
    for room in RULES.iter().flat_map(|rule| rule.rooms.iter().chain(rule.doors)) {
        assert!(
            files.iter().any(|file| file.is_in(&[room])),
            "`{room}` is in the table and not in the tree"
        );
    }
}

/// How ARCHITECTURE.md shows a stack: as the rows of a table, the highest layer first, or in one
/// block, the ground first. Blanks do not count.
fn shown(stack: &Stack<'_>) -> [String; 2] {
    let rows = stack.layers.iter().rev().map(|layer| format!("| {} |", layer.join(", ")));
    let layers: Vec<String> = stack.layers.iter().map(|layer| layer.join(" ")).collect();
    [rows.collect::<Vec<_>>().join("\n"), layers.join(" < ")]
}

/// A layer that moves is seen here and in ARCHITECTURE.md. The functions that call out are examples
/// and have no map.
#[test]
fn architecture_shows_the_stacks_of_the_table() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
    // The first cell of each row of a table.
    let cells: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
        .map(|(cell, _)| format!("| {cell} |"))
        .collect();
    let cells = cells.join("\n");
    let mut behind = Vec::new();
    for package in PACKAGES.iter().filter(|package| !package.folder.starts_with("examples/")) {
        for stack in package.stacks {
            let [rows, block] = shown(stack);
            let place = format!("{}/{}", package.folder, stack.folder);
            let place = place.trim_end_matches('/');
            if !cells.contains(&rows) && !words.contains(&format!("{place} {block} ")) {
                behind.push(format!("{place} {block}"));
            }
        }
    }
    assert!(behind.is_empty(), "ARCHITECTURE.md has not:\n{}", behind.join("\n"));
}

#[test]
fn no_manifest_names_a_forbidden_dependency() {
    for (manifest, never) in MANIFESTS {
        let text = fs::read_to_string(root().join(manifest)).expect("the manifest is there");
        let named = text
            .lines()
            .enumerate()
            .filter_map(|(at, line)| Some((at + 1, line.split_once('=')?.0.trim())));
        let wrong: Vec<_> = named.filter(|(_, name)| never.contains(name)).collect();
        assert!(wrong.is_empty(), "{manifest}: {wrong:?}");
    }
}

#[test]
fn only_the_main_files_of_the_host_tools_print() {
    assert_none(files().iter().flat_map(File::prints).collect());
}

/// Modules are `name.rs` beside `name/`, and imports are in one block.
#[test]
fn modules_and_imports_have_one_style() {
    let files = files();
    let of_old_style = files.iter().filter(|file| file.name.ends_with("/mod.rs"));
    assert_none(
        of_old_style.map(|file| format!("{}: name it after its folder", file.name)).collect(),
    );
    assert_none(files.iter().flat_map(File::split_imports).collect());
}

#[test]
fn unsafe_has_named_doors_and_each_block_has_its_reasons() {
    assert_none(files().iter().flat_map(File::unargued_unsafe).collect());
}

#[test]
fn every_crate_denies_unsafe_code_outside_of_its_doors() {
    let files = files();
    let is_root = |name: &str| {
        !name.starts_with("template") && (name.ends_with("/lib.rs") || name.ends_with("/main.rs"))
    };
    let open: Vec<&str> = files
        .iter()
        .filter(|file| is_root(&file.name) && !file.source.denies_unsafe)
        .map(|file| file.name.as_str())
        .collect();
    assert!(open.is_empty(), "no `#![forbid(unsafe_code)]` or `#![deny(unsafe_code)]` in {open:?}");
}

/// Tests of the checker: it finds each bad line, and nothing else.
mod checker {
    use super::*;

    fn check(name: &str, text: &str) -> Vec<String> {
        let (folder, crate_name) = match name {
            _ if name.starts_with("build") => ("build/src", "microimage"),
            _ if name.starts_with("benches") => ("benches/coldstart/src", "coldstart"),
            _ => ("src", "firstbyte"),
        };
        let exports = source::exports(
            "mod app; pub use app::App; pub use transport::{Limits, sleep};",
            "firstbyte",
        );
        let file = file(name.to_owned(), text.to_owned(), folder, crate_name, &exports);
        let mut found: Vec<String> = RULES.iter().flat_map(|rule| file.breaks(rule)).collect();
        found.extend(file.prints());
        found.extend(file.unargued_unsafe());
        found.extend(file.split_imports());
        found.sort();
        found.dedup_by_key(|line| line.split(": ").next().unwrap_or_default().to_owned());
        found
    }

    #[track_caller]
    fn assert_found(name: &str, text: &str, lines: &[usize]) {
        let found: Vec<String> = check(name, text)
            .iter()
            .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
            .collect();
        let expected: Vec<String> = lines.iter().map(|line| format!("{name}:{line}")).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_imports_in_every_spelling() {
        assert_found("src/wire/head.rs", "use may::net::TcpStream;", &[1]);
        assert_found(
            "src/wire/head.rs",
            "fn f() {}\nuse std::{fmt, net::{self, TcpStream}};",
            &[2],
        );
        assert_found("src/wire/head.rs", "fn f() { let _ = ::std::time::Instant::now(); }", &[1]);
        assert_found("src/reply.rs", "use std::time as t;", &[1]);
        assert_found("src/reply.rs", "use std::*;", &[1]);
        assert_found("src/boot.rs", "fn f() { may::config(); }", &[1]);
        assert_found("src/app.rs", "macro_call!(x, tokio::spawn(y));", &[1]);
        assert_found("build/src/recipe.rs", "use std::fs;", &[1]);
        assert_found("build/src/archive.rs", "use firstbyte::App;", &[1]);
        assert_found("build/src/archive.rs", "fn f() { std::env::var(\"A\"); }", &[1]);
        assert_found("benches/coldstart/src/plot.rs", "use std::time::{Duration, Instant};", &[1]);
        assert_found("benches/coldstart/src/run.rs", "fn f() { println!(\"x\"); }", &[1]);
    }

    #[test]
    fn finds_unsafe_outside_of_doors_or_without_reasons() {
        assert_found(
            "src/app.rs",
            "// JUSTIFICATION: a\n// SAFETY: b\nfn f() { unsafe { g() } }",
            &[3],
        );
        assert_found("src/boot.rs", "// SAFETY: b\nfn f() { unsafe { g() } }", &[2]);
        assert_found(
            "src/boot.rs",
            "// JUSTIFICATION: a\n// SAFETY: b\nlet a = 1;\nlet b = unsafe { g() };",
            &[4],
        );
        assert_found(
            "src/boot.rs",
            "// JUSTIFICATION: a\n// SAFETY: b\nlet a = f(1,\n unsafe { g() });",
            &[],
        );
    }

    #[test]
    fn finds_imports_outside_the_block() {
        assert_found("src/app.rs", "use std::fmt;\n\nuse crate::event::Event;", &[2]);
        assert_found("src/app.rs", "use std::{\n    fmt,\n};\n\nuse crate::event::Event;", &[4]);
        assert_found(
            "src/app.rs",
            "use std::fmt;\n\npub use crate::event::Event;\n\nfn f() {}",
            &[],
        );
    }

    #[test]
    fn accepts_permitted_code() {
        for (name, text) in [
            (
                "src/wire/head.rs",
                "// use may::net;\n/// std::net::TcpStream\nconst A: &str = \"may::net\";",
            ),
            (
                "src/wire/head.rs",
                "#[cfg(test)]\nmod tests { use std::net::TcpStream; fn f() { unsafe { g() } } }",
            ),
            (
                "src/wire/head.rs",
                "use std::time::Duration; use std::io::{self, Write}; use super::scan::Scan;",
            ),
            ("src/wire/head.rs", "fn f(may: u8, x: X) -> u8 { x.libc + may }"),
            ("src/transport/coroutine.rs", "use generator::Gn; use crate::error::Error;"),
            ("src/app.rs", "use crate::transport::Limits; use crate::Limits as L;"),
            ("build/src/main.rs", "fn main() { println!(\"{:?}\", std::env::args()); }"),
            ("build/src/archive.rs", "use std::fs; use std::process::Command;"),
        ] {
            assert_found(name, text, &[]);
        }
    }
}

/// build/src, build/emulator/src and build/scaffold/src as stacks, the lowest row first.
mod build_layers {
    use outside::layers::{Layers, Stack};

    const MICROIMAGE: Layers<'_> = &[
        &[
            "digest",
            "elf",
            "entry",
            "instruction",
            "json",
            "load",
            "manual",
            "order",
            "reference",
            "rootfs",
            "scf",
        ],
        &["words", "stage", "sandbox", "listeners"],
        &["extras", "ignore", "image", "recipe", "sbom"],
        &["layer", "layout", "provenance"],
        &["archive", "assemble", "contents", "context", "loadable", "unpack"],
        &["inspect", "outputs", "registry", "cargo"],
        &["check", "source"],
        &["lib"],
        &["args", "progress"],
        &["commands"],
        &["main"],
    ];
    /// The client of registries, from the pure parsers up.
    const REGISTRY: Layers<'_> = &[
        &["address", "attempts", "auth_file", "challenge", "error", "referrers"],
        &["credentials", "identity"],
        &["trust"],
        &["tls"],
        &["link"],
        &["progress"],
        &["download", "upload"],
    ];
    /// The pure middle of microimage: all except `check` and code for disks, networks and
    /// processes.
    const MICROIMAGE_PURE: &[&str] = &[
        "assemble",
        "contents",
        "digest",
        "elf",
        "entry",
        "extras",
        "ignore",
        "image",
        "inspect",
        "instruction",
        "json",
        "layer",
        "loadable",
        "order",
        "provenance",
        "recipe",
        "reference",
        "rootfs",
        "sbom",
        "scf",
        "words",
    ];
    const CHECK: Layers<'_> =
        &[&["provider"], &["finding", "files"], &["program", "secrets", "run"], &["rules"]];
    const EMULATOR: Layers<'_> = &[
        &["burst", "config", "frames", "program", "sample", "start_up", "sync", "wire"],
        &["fields", "settings", "verdict"],
        &["invocation", "journal", "relay"],
        &["output"],
        &["instance"],
        &["pool"],
        &["invoker", "watch"],
        &["queue"],
        &["platform"],
        &["front", "api"],
        &["lib"],
        &["args"],
        &["commands", "deploy", "new"],
        &["main"],
    ];
    const SCAFFOLD: Layers<'_> =
        &[&["cron", "kind", "name"], &["client", "deploy"], &["project"], &["lib"]];
    const DEPLOY: Layers<'_> = &[
        &["reader", "registry", "verdict"],
        &["image", "trigger"],
        &["difference", "function"],
        &["request"],
        &["plan"],
        &["example"],
        &["artefacts"],
        &["tccli"],
    ];

    const fn all<'a>(layers: Layers<'a>) -> Stack<'a> {
        Stack { folder: "", layers, pure: &[], doors: &[] }
    }

    pub(super) const OF_MICROIMAGE: &[Stack<'_>] = &[
        Stack { pure: MICROIMAGE_PURE, ..all(MICROIMAGE) },
        Stack { folder: "check", ..all(CHECK) },
        Stack { folder: "registry", ..all(REGISTRY) },
    ];
    const TC3: Layers<'_> =
        &[&["credential"], &["canonical", "authorization"], &["sign"], &["verify"], &["lib"]];

    pub(super) const OF_TC3: &[Stack<'_>] = &[all(TC3)];
    /// The cloud's API, from the request's shape up to the socket.
    const API: Layers<'_> = &[
        &["clock", "error", "fault", "line", "query", "shapes"],
        &["log", "parameters"],
        &["content"],
        &["fleet", "world"],
        &["store"],
        &["session"],
        &["account", "search", "trigger"],
        &["function"],
        &["alias", "call", "namespace", "version"],
        &["provisioned", "timer", "url"],
        &["service"],
        &["door"],
    ];
    pub(super) const OF_EMULATOR: &[Stack<'_>] =
        &[all(EMULATOR), Stack { folder: "api", ..all(API) }];
    pub(super) const OF_SCAFFOLD: &[Stack<'_>] =
        &[all(SCAFFOLD), Stack { folder: "deploy", ..all(DEPLOY) }];
}
