//! Shared code of the tuned and the default peer: the function on the published may_minihttp with
//! simd-json.

use may_minihttp::{HttpServer, HttpService, Request, Response};
use std::io::{self, Read};
use timer::Timer;

#[derive(Clone)]
struct OnTimer;

impl HttpService for OnTimer {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        if request.method() != "POST" || request.path() != "/event-invoke" {
            response.status_code(404, "Not Found");
            return Ok(());
        }
        let mut body = Vec::with_capacity(1024);
        request.body().read_to_end(&mut body)?;
        let timer: Timer = simd_json::from_slice(&mut body).map_err(io::Error::other)?;
        let answer = simd_json::to_vec(&timer::on_timer(&timer)).map_err(io::Error::other)?;
        response.header("Content-Type: application/json").body_vec(answer);
        Ok(())
    }
}

/// Serves until the process is killed.
///
/// # Errors
/// If the port cannot be bound.
pub fn serve() -> io::Result<()> {
    let server = HttpServer(OnTimer).start(timer::address())?;
    server.join().map_err(|_| io::Error::other("the server's coroutine panicked"))
}
