//! Flags of the start bench. main.rs acts on them.

use clap::Parser;
use start_bench::report::PageCache;
use std::path::PathBuf;

/// The end of the help text.
const TWO_COMMITS: &str = "\
To compare with another commit, in one interleaved run:
  git worktree add ../old COMMIT
  (cd ../old && just image --stage-only && cp target/image/root/app ../old-firstbyte)
  just bench start --only floor,firstbyte,axum --program old=../old-firstbyte --against old
  git worktree remove --force ../old
For its `blocking` in a first handler: `just image firstbyte-blocking-first --stage-only` there, \
and `--program old-blocking=PATH`.";

/// From exec to the first byte: our function, the floor and the peers, interleaved in random order.
///
/// Exit codes: 0 fine, 1 a start failed or the gate is closed, 2 usage, 4 the bench itself could
/// not run.
#[derive(Parser)]
#[command(after_help = TWO_COMMITS)]
pub struct Arguments {
    /// Starts of each program and state of the page cache
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=9000))]
    pub starts: u32,
    /// Only these of floor, firstbyte, firstbyte-blocking-first (the same, its work in
    /// `firstbyte::blocking`), blocking, hyper, axum, minihttp-tuned, minihttp-default; and
    /// firstbyte-hardened, firstbyte-small, firstbyte-tiny, which are in no other run
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,
    /// One more program, or another in place of a built-in one: a static ELF that listens on PORT
    /// and gives the same reply; repeatable
    #[arg(long, value_name = "NAME=PATH", value_parser = named)]
    pub program: Vec<(String, PathBuf)>,
    /// Compare first bytes and requests with this program too, instead of with firstbyte
    #[arg(long, value_name = "NAME")]
    pub against: Option<String>,
    /// Requests one after the other on one connection, in starts of their own; 1 leaves them out
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub requests: u32,
    /// Only this state of the page cache
    #[arg(long, value_enum)]
    pub page_cache: Option<PageCache>,
    /// Measure times only: no tracing, no idling
    #[arg(long)]
    pub times_only: bool,
    /// Put the harness and the programs ahead of all other work (SCHED_FIFO; asks for root): for a
    /// machine that is busy
    #[arg(long)]
    pub realtime: bool,
    /// Seed of the order of starts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the results go; the plot goes beside them
    #[arg(long, value_name = "FILE", default_value = "target/start/results.json")]
    pub results: PathBuf,
    /// Keep results and plot in benches/record too, under today's date
    #[arg(long)]
    pub record: bool,
    /// Measure the functions that call out (examples/calls) beside axum with redis and reqwest, on
    /// servers of this machine (`build/setup --servers`), and nothing else
    #[arg(long, conflicts_with_all = ["gate", "record", "trace", "against", "page_cache"])]
    pub calls: bool,
    /// Check system calls, faults and instructions of the function against
    /// benches/start/limits.json, and nothing else
    #[arg(long, conflicts_with_all = ["starts", "record", "trace"])]
    pub gate: bool,
    /// List the system calls of one program to its first byte, and nothing else
    #[arg(long, value_name = "NAME", conflicts_with_all = ["starts", "record"])]
    pub trace: Option<String>,
    /// Write the names of what our function uses on the way through its first requests, in the
    /// order of first use, and nothing else: src/order.txt is made so
    #[arg(long, value_name = "FILE", conflicts_with_all = ["starts", "record", "trace", "gate"])]
    pub order: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() && !name.contains('/') => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("write it as NAME=PATH".into()),
    }
}
