//! Access log: one line for each request. Failures have their own log lines, and handlers write
//! theirs with the `log` crate; both exist without this file.

use crate::around::Around;
use crate::asked::Asked;
use crate::deadline::Arrival;
use crate::error::Result;
use crate::log;
use crate::reply::Reply;
use crate::wire::Status;
use ::log::Level;

/// Writes one line for each request at level `info`, whether a handler or the server answered it:
/// `RequestId:r-1 GET /orders 200 1234 bytes 567 us`.
///
/// `bytes` counts the content (0 for HEAD). `us` is the time in microseconds from the request's
/// arrival until its reply was ready to send, or until a stream was written; it is `-` where the
/// server refused before it had a request. The query is left out, because it may hold secrets. Add
/// it first ([`App::around`]): then it logs the reply as all the others have left it.
///
/// # Cold start
/// One more system call before the first reply goes out, and one for each later reply.
///
/// [`App::around`]: crate::App::around
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessLog;

/// Largest number of bytes of a path in a line.
const MOST_PATH_BYTES: usize = 1024;

impl Around for AccessLog {
    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
        let (status, arrival) = (reply.status(), asked.context().arrival());
        let is_bare = asked.method() == "HEAD" || status.forbids_content();
        match reply.body().map(<[u8]>::len) {
            Some(size) => {
                let bytes = if is_bare { 0 } else { size as u64 };
                write(asked.context().log_id(), &target(asked), status, bytes, "", arrival);
            }
            None if is_bare => {
                write(asked.context().log_id(), &target(asked), status, 0, "", arrival);
            }
            None => {
                let (id, target) = (asked.context().log_id().to_owned(), target(asked));
                reply.when_written(move |written, result| {
                    let cut = if result.is_err() { ", cut off" } else { "" };
                    write(&id, &target, status, written.bytes, cut, arrival);
                });
            }
        }
        Ok(())
    }
}

fn target(asked: &Asked<'_>) -> String {
    let path = &asked.path()[..asked.path().floor_char_boundary(MOST_PATH_BYTES)];
    match asked.method() {
        "" => "- -".to_owned(),
        method => format!("{method} {path}"),
    }
}

fn write(id: &str, target: &str, status: Status, bytes: u64, cut: &str, arrival: Option<Arrival>) {
    let time = match arrival {
        Some(arrival) => arrival.elapsed().as_micros().to_string(),
        None => "-".to_owned(),
    };
    let code = status.code();
    log::outcome(Level::Info, id, format_args!("{target} {code} {bytes} bytes{cut} {time} us"));
}
