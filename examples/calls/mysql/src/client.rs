//! MySQL and MariaDB client that uses mysql_async, on a runtime that runs only while a handler
//! waits for it. Later events reuse the connection; every wait has a deadline.

use firstbyte::net::{Fate, Pool, Repeat, Until};
use firstbyte::{Context, Error, Result, blocking};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use serde::Serialize;
use std::io;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
pub struct Answer {
    value: Option<i64>,
}

/// Runs `SELECT 1`.
///
/// # Errors
/// States what failed, and never contains a password.
pub fn call(context: Context<'_>) -> Result<Answer> {
    let value =
        query(context, Repeat::Idempotent, async |conn| conn.query_first("SELECT 1").await)?;
    Ok(Answer { value })
}

/// Runs `work` with a connection.
///
/// # Errors
/// As [`call`].
pub fn query<T: Send>(
    context: Context<'_>,
    repeat: Repeat,
    work: impl AsyncFn(&mut Conn) -> Result<T, mysql_async::Error> + Sync,
) -> Result<T> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let worked = blocking(|| POOL.call(until, repeat, |conn| wait(until, work(conn))));
    worked.map_err(|failure| Error::new(format!("MySQL: {}", failure.why)))
}

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build());

static POOL: Pool<Conn, Failure> = Pool::new(connect).fate(|failure| failure.fate);

/// Why a call failed, and whether its connection is still usable.
struct Failure {
    why: String,
    fate: Fate,
}

/// Parses MYSQL_URL once.
fn target() -> Result<&'static Opts, String> {
    static TARGET: OnceLock<Result<Opts, String>> = OnceLock::new();
    let read = || {
        let url = std::env::var("MYSQL_URL").map_err(|_| "MYSQL_URL is not set")?;
        // The crate's error text may quote the URL.
        let opts = Opts::from_url(&url).map_err(|_| {
            "MYSQL_URL is malformed; write it as mysql://USER:PASSWORD@HOST:PORT/DATABASE, \
             percent-encoded"
        })?;
        // On loopback the crate asks the server for its socket file and connects to that instead:
        // this may be another server than the URL names, and it costs a second connection.
        Ok(OptsBuilder::from_opts(opts).prefer_socket(false).into())
    };
    TARGET.get_or_init(read).as_ref().map_err(String::clone)
}

fn connect(until: Until) -> Result<Conn, Failure> {
    wait(until, async { Ok::<_, Failure>(Conn::new(target()?.clone()).await?) })
}

fn wait<T, E: Into<Failure>>(
    until: Until,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let runtime = RUNTIME.as_ref().map_err(|error| error.to_string())?;
    let left = until.left().unwrap_or(TIMEOUT);
    runtime.block_on(async {
        let worked = timeout(left, work).await;
        worked.map_err(|_| "no answer in time".to_owned())?.map_err(Into::into)
    })
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure { why, fate: Fate::Lost }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        error.to_string().into()
    }
}

impl From<mysql_async::Error> for Failure {
    fn from(error: mysql_async::Error) -> Failure {
        let fate = if error.is_fatal() { Fate::Lost } else { Fate::Good };
        Failure { why: error.to_string(), fate }
    }
}
