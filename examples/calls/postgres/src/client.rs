//! PostgreSQL client that uses tokio-postgres, on a runtime that runs only while a handler waits
//! for it. Later events reuse the connection; every wait has a deadline.

use firstbyte::net::{Fate, Pool, Repeat, Until};
use firstbyte::{Context, Error, Result, blocking};
use serde::Serialize;
use std::error::Error as _;
use std::io;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
pub struct Answer {
    value: i32,
}

/// Runs `SELECT 1`.
///
/// # Errors
/// States what failed, and never contains a password.
pub fn call(context: Context<'_>) -> Result<Answer> {
    let value = query(context, Repeat::Idempotent, async |client| {
        client.query_one("SELECT 1", &[]).await?.try_get(0)
    })?;
    Ok(Answer { value })
}

/// Runs `work` with a connection.
///
/// # Errors
/// As [`call`].
pub fn query<T: Send>(
    context: Context<'_>,
    repeat: Repeat,
    work: impl AsyncFn(&Client) -> Result<T, tokio_postgres::Error> + Sync,
) -> Result<T> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let worked = blocking(|| POOL.call(until, repeat, |client| wait(until, work(client))));
    worked.map_err(|failure| Error::new(format!("PostgreSQL: {}", failure.why)))
}

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build());

static POOL: Pool<Client, Failure> =
    Pool::new(connect).probe(|client| !client.is_closed()).fate(|failure| failure.fate);

/// Why a call failed, and whether its connection is still usable.
struct Failure {
    why: String,
    fate: Fate,
}

/// Parses POSTGRES_URL once.
fn target() -> Result<&'static Config, String> {
    static TARGET: OnceLock<Result<Config, String>> = OnceLock::new();
    let read = || {
        let url = std::env::var("POSTGRES_URL").map_err(|_| "POSTGRES_URL is not set")?;
        // The crate's error text may quote the URL.
        url.parse().map_err(|_| {
            "POSTGRES_URL is malformed; write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE, \
             percent-encoded"
                .to_owned()
        })
    };
    TARGET.get_or_init(read).as_ref().map_err(String::clone)
}

fn connect(until: Until) -> Result<Client, Failure> {
    wait(until, async {
        let (client, connection) = target()?.connect(NoTls).await?;
        tokio::spawn(connection); // it runs while a handler waits
        Ok::<_, Failure>(client)
    })
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

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        let fate = match error.as_db_error() {
            Some(_) if !error.is_closed() => Fate::Good, // an error of the statement
            _ => Fate::Lost,
        };
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure { why: format!("{error}{cause}"), fate }
    }
}
