//! Peer of call-redis: axum and the crate redis. Its async connection is made at the first event
//! and shared from then on.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

static CONNECTION: OnceCell<MultiplexedConnection> = OnceCell::const_new();

async fn connect() -> redis::RedisResult<MultiplexedConnection> {
    let url = std::env::var("REDIS_URL").expect("the bench sets REDIS_URL");
    redis::Client::open(url)?.get_multiplexed_async_connection().await
}

async fn ask() -> Result<Json<Value>, StatusCode> {
    let ask = async {
        let mut connection = CONNECTION.get_or_try_init(connect).await?.clone();
        connection.get::<_, Option<String>>("greeting").await
    };
    let value = ask.await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Json(json!({ "value": value })))
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(timer::address()).await?;
        axum::serve(listener, Router::new().route("/event-invoke", post(ask))).await
    })
}
