//! Peer with the usual choice of crates: axum on tokio's current-thread runtime, serde_json, the
//! standard allocator.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use timer::{Answer, Timer};

/// Borrows from the body, as our function does; with axum's `Json<T>` as an argument each field
/// would be copied.
async fn on_timer(body: Bytes) -> Result<Json<Answer>, StatusCode> {
    let timer: Timer = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Json(timer::on_timer(&timer)))
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(timer::address()).await?;
        axum::serve(listener, Router::new().route("/event-invoke", post(on_timer))).await
    })
}
