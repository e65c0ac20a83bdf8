#![no_main]
//! x
use firstbyte::{App, Event, Json, Result, Error, blocking};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct Answer { value: i32 }

fn ask(_event: Event<'_>) -> Result<Json<Answer>> {
    static RT: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
    let url = std::env::var("POSTGRES_URL").unwrap();
    let value = blocking(|| RT.block_on(async { tokio::time::timeout(Duration::from_secs(2), async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.map_err(|e| Error::new(e.to_string()))?;
        tokio::spawn(connection);
        let rows = client.query_one("SELECT 1", &[]).await?;
        let v: i32 = rows.try_get(0)?;
        Ok::<i32, Error>(v) }).await.map_err(|_| Error::new("late"))? }))?;
    Ok(Json(Answer { value }))
}
firstbyte::main!(App::new().event(ask));
