//! Redis client: the `redis` crate implements the protocol, `firstbyte::net` the connection. The
//! connection starts while the first event is still on its way, later events reuse it, and every
//! call has a deadline.

use firstbyte::net::{Early, Fate, Pool, Repeat, TcpStream, Until};
use firstbyte::{Context, Error, Result};
use redis::{Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Parser};
use redis::{RedisError, Value};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

/// The platform's default time-out, for an invocation that does not state its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Time that the function needs to answer after its last wait.
const MARGIN: Duration = Duration::from_millis(100);

#[derive(Serialize)]
pub struct Answer {
    value: Option<String>,
}

/// Reads the key `greeting`.
///
/// # Errors
/// As [`command`].
pub fn call(context: Context<'_>) -> Result<Answer> {
    let value = command(context, redis::cmd("GET").arg("greeting"), Repeat::Idempotent)?;
    Ok(Answer { value })
}

/// Sends `command` and waits for its reply.
///
/// # Errors
/// States what failed and where, and never contains a password.
pub fn command<T: FromRedisValue>(
    context: Context<'_>,
    command: &Cmd,
    repeat: Repeat,
) -> Result<T> {
    let left = context.deadline().map_or(TIMEOUT, |deadline| deadline.remaining());
    let until = Until::after(left.saturating_sub(MARGIN));
    let asked = POOL.call(until, repeat, |session| {
        session.stream.set_deadline(until);
        session.ask(command)
    });
    let value = asked.and_then(|value| Ok(redis::from_redis_value(value)?));
    value.map_err(|error| Error::new(format!("Redis: {error}")))
}

/// The connection to pass to `App::early`.
pub static EARLY: Early<TcpStream> = Early::new(begin);

static POOL: Pool<Session, RedisError> = Pool::new(connect)
    .probe(|session| !session.stream.is_stale())
    .sent(|session| session.stream.sent())
    // A reply of the server was read completely.
    .fate(|error| if error.code().is_some() { Fate::Good } else { Fate::Lost });

struct Session {
    stream: TcpStream,
    parser: Parser,
}

impl Session {
    fn ask(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        self.stream.write_all(&command.get_packed_command())?;
        self.parser.parse_value(&mut self.stream)?.extract_error()
    }
}

/// Parses REDIS_URL once: redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE].
fn target() -> io::Result<&'static ConnectionInfo> {
    static TARGET: OnceLock<Result<ConnectionInfo, String>> = OnceLock::new();
    let read = || {
        let url = std::env::var("REDIS_URL").map_err(|_| "REDIS_URL is not set")?;
        if url.starts_with("rediss:") || url.starts_with("valkeys:") {
            return Err("REDIS_URL asks for TLS, which this function does not support".to_owned());
        }
        url.as_str().into_connection_info().map_err(|error| format!("REDIS_URL: {error}"))
    };
    TARGET.get_or_init(read).as_ref().map_err(|problem| io::Error::other(problem.as_str()))
}

fn begin() -> io::Result<TcpStream> {
    match target()?.addr() {
        ConnectionAddr::Tcp(host, port) if host.contains(':') => {
            TcpStream::begin(&format!("[{host}]:{port}"))
        }
        ConnectionAddr::Tcp(host, port) => TcpStream::begin(&format!("{host}:{port}")),
        _ => Err(io::Error::other("REDIS_URL has no host")),
    }
}

fn connect(until: Until) -> Result<Session, RedisError> {
    let stream = EARLY.connect(until)?;
    let mut session = Session { stream, parser: Parser::new() };
    let settings = target()?.redis_settings();
    if let Some(password) = settings.password() {
        session.ask(redis::cmd("AUTH").arg(settings.username()).arg(password))?;
    }
    if settings.db() != 0 {
        session.ask(redis::cmd("SELECT").arg(settings.db()))?;
    }
    Ok(session)
}
