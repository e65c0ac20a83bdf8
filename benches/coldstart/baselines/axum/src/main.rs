//! The function on axum, with a single-threaded runtime.

use axum::{Json, Router, routing::post};
use serde_json::Value;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let app = Router::new()
            .route("/event-invoke", post(|Json(event): Json<Value>| async { Json(event) }));
        let listener =
            tokio::net::TcpListener::bind("0.0.0.0:9000").await.expect("port 9000 is free");
        axum::serve(listener, app).await.expect("it serves");
    });
}
