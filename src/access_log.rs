//! The access log: one line a request. Not the log of failures, which is always there, nor what
//! handlers write themselves.

use crate::around::Around;
use crate::asked::Asked;
use crate::deadline::Arrival;
use crate::error::Result;
use crate::log;
use crate::reply::Reply;
use crate::wire::Status;
use ::log::Level;

/// Writes a line about every request, whoever answered it, at level `info`:
/// `RequestId:r-1 GET /orders 200 1234 bytes 567 us`.
///
/// The bytes are those of the content: none for HEAD. The time runs from the request's arrival
/// until its reply was there to be sent, or until a stream had been written; `- us` where the
/// server refused before there was a request. The query is left out: it may hold what must not be
/// logged. Added first ([`App::around`]), it sees what all others have made of a reply.
///
/// # Cold start
/// The first line is a system call more before the first reply goes out, and so is each later one.
///
/// [`App::around`]: crate::App::around
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessLog;

/// Bytes of a path that are told.
const MOST_PATH_BYTES: usize = 1024;

impl Around for AccessLog {
    fn after(&self, asked: &Asked<'_>, reply: &mut Reply) -> Result<()> {
        let (status, arrival) = (reply.status(), asked.context().arrival());
        let is_bare = asked.method() == "HEAD" || status.forbids_content();
        match reply.body().map(<[u8]>::len) {
            Some(size) => {
                let bytes = if is_bare { 0 } else { size as u64 };
                tell(asked.context().log_id(), &target(asked), status, bytes, "", arrival);
            }
            None if is_bare => {
                tell(asked.context().log_id(), &target(asked), status, 0, "", arrival);
            }
            None => {
                let (id, target) = (asked.context().log_id().to_owned(), target(asked));
                reply.when_written(move |written, result| {
                    let cut = if result.is_err() { ", cut off" } else { "" };
                    tell(&id, &target, status, written.bytes, cut, arrival);
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

fn tell(id: &str, target: &str, status: Status, bytes: u64, cut: &str, arrival: Option<Arrival>) {
    let time = match arrival {
        Some(arrival) => arrival.elapsed().as_micros().to_string(),
        None => "-".to_owned(),
    };
    let code = status.code();
    log::told(Level::Info, id, format_args!("{target} {code} {bytes} bytes{cut} {time} us"));
}
