//! Peer without a framework: hyper's HTTP/1 server on tokio's current-thread runtime, serde_json,
//! the standard allocator.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use timer::Timer;

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    if request.method() != Method::POST || request.uri().path() != "/event-invoke" {
        return Ok(refuse(StatusCode::NOT_FOUND));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let Ok(timer) = serde_json::from_slice::<Timer>(&body) else {
        return Ok(refuse(StatusCode::BAD_REQUEST));
    };
    let Ok(reply) = serde_json::to_vec(&timer::on_timer(&timer)) else {
        return Ok(refuse(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let mut response = Response::new(Full::from(reply));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn refuse(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(timer::address()).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that disconnects is not an error.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    })
}
