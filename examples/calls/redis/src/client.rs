//! Redis on one connection that is kept: the `redis` crate knows the protocol, this file the
//! connection. Every wait ends before the invocation does.

use firstbyte::{Context, Error, Result};
use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Parser, Value,
};
use std::io::Write;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The platform's default time-out, where an invocation does not say its own.
const TIMEOUT: Duration = Duration::from_secs(3);
/// What is left for the answer when a wait has been given up.
const MARGIN: Duration = Duration::from_millis(100);

/// Whether a command may be sent again when its connection broke before the reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It changes nothing, or the same thing again.
    Allowed,
    /// It may have been run.
    Never,
}

static IDLE: Mutex<Vec<Session>> = Mutex::new(Vec::new());

/// Sends `command` and waits for its reply.
///
/// # Errors
/// Names the server and what went wrong; a password is never part of it.
pub fn call<T: FromRedisValue>(context: Context<'_>, command: &Cmd, repeat: Repeat) -> Result<T> {
    let target = target()?;
    let until = context.deadline().map_or(Instant::now() + TIMEOUT, |it| it.instant()) - MARGIN;
    let fail = |problem: String| Error::new(format!("redis at {}: {problem}", target.addr()));
    let kept = idle().pop().filter(Session::is_open);
    let is_fresh = kept.is_none();
    let mut session = kept.map_or_else(|| Session::open(target, until), Ok).map_err(&fail)?;
    let mut replied = session.ask(command, until);
    if replied.is_err() && !is_fresh && repeat == Repeat::Allowed {
        session = Session::open(target, until).map_err(&fail)?;
        replied = session.ask(command, until);
    }
    let value = replied.map_err(&fail)?;
    idle().push(session);
    let value = value.extract_error().map_err(|error| fail(error.to_string()))?;
    redis::from_redis_value(value).map_err(|error| fail(error.to_string()))
}

fn idle() -> std::sync::MutexGuard<'static, Vec<Session>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What REDIS_URL says, read once.
fn target() -> Result<&'static ConnectionInfo> {
    static TARGET: OnceLock<Result<ConnectionInfo, String>> = OnceLock::new();
    let read = || {
        let url = std::env::var("REDIS_URL").map_err(|_| "REDIS_URL is not set".to_owned())?;
        let info = url.as_str().into_connection_info().map_err(|e| format!("REDIS_URL: {e}"))?;
        Ok(info)
    };
    TARGET.get_or_init(read).as_ref().map_err(|problem| Error::new(problem.clone()))
}

struct Session {
    stream: TcpStream,
    parser: Parser,
}

impl Session {
    fn open(target: &ConnectionInfo, until: Instant) -> Result<Session, String> {
        let ConnectionAddr::Tcp(host, port) = target.addr() else {
            return Err("this function speaks plain TCP only".into());
        };
        let address = (host.as_str(), *port)
            .to_socket_addrs()
            .map_err(|error| error.to_string())?
            .next()
            .ok_or("no address")?;
        let stream = TcpStream::connect_timeout(&address, left(until)?)
            .map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut session = Session { stream, parser: Parser::new() };
        let settings = target.redis_settings();
        if let Some(password) = settings.password() {
            let mut auth = redis::cmd("AUTH");
            auth.arg(settings.username()).arg(password);
            session.order(&auth, until)?;
        }
        if settings.db() != 0 {
            session.order(redis::cmd("SELECT").arg(settings.db()), until)?;
        }
        Ok(session)
    }

    /// A command whose reply is no more than a yes.
    fn order(&mut self, command: &Cmd, until: Instant) -> Result<(), String> {
        self.ask(command, until)?.extract_error().map(drop).map_err(|error| error.to_string())
    }

    fn ask(&mut self, command: &Cmd, until: Instant) -> Result<Value, String> {
        self.stream.set_read_timeout(Some(left(until)?)).map_err(|error| error.to_string())?;
        self.stream.write_all(&command.get_packed_command()).map_err(|error| error.to_string())?;
        self.parser.parse_value(&mut self.stream).map_err(|error| error.to_string())
    }

    /// Whether the server has not ended it meanwhile.
    fn is_open(&self) -> bool {
        let peek = || {
            self.stream.set_nonblocking(true)?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        };
        peek().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn left(until: Instant) -> Result<Duration, String> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err("no time is left".into()) } else { Ok(left) }
}
