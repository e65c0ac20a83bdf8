#![no_main]
//! x
use firstbyte::{App, Event, Json, Result, Error, blocking};
use serde::Serialize;
use std::time::Duration;
use mysql_async::prelude::*;

#[derive(Serialize)]
struct Answer { value: i64 }

fn ask(_event: Event<'_>) -> Result<Json<Answer>> {
    static RT: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let url = std::env::var("MYSQL_URL").unwrap();
    let value = blocking(|| RT.block_on(async { tokio::time::timeout(Duration::from_secs(2), async {
        let mut conn = mysql_async::Conn::from_url(&url).await?;
        let v: Option<i64> = conn.query_first("SELECT 1").await?;
        Ok::<_, Error>(v.unwrap()) }).await.map_err(|_| Error::new("late"))? }))?;
    Ok(Json(Answer { value }))
}
firstbyte::main!(App::new().event(ask));
