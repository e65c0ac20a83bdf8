//! An upload of a form: fields with their values, files with their sizes and digests
//! (multipart/form-data, RFC 7578). The body is in memory already, within the server's limits and
//! its budget of bytes, so its parts need no copy.
//!
//! Try it: `cargo run --package example-multipart`, then open <http://localhost:9000> in a browser,
//! or `curl -F note=hello -F file=@README.md localhost:9000`.
//!
//! The platform accepts 6 MB per request: clients should send larger files to object storage with a
//! signed URL (docs/calling-out.md). form.rs replaces a crate, because the crates for forms read a
//! stream within an async runtime, which costs more than this whole function.
//!
//! Price: 11 KiB of the layer for form.rs (`just image example-multipart`: 330 KiB; with the digest
//! of the whole body instead of forms: 319).

#![no_main]
#![deny(unsafe_code)]

mod form;

use firstbyte::{App, Error, Json, Reply, Request, Result, Status};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Upload</title>\
    <form method=post enctype=multipart/form-data>\
    <input name=note> <input type=file name=file multiple> <button>Send</button></form>\n";

#[derive(Serialize)]
#[serde(untagged)]
enum Said {
    Field { name: String, value: String },
    File { name: String, filename: String, content_type: String, bytes: usize, sha256: String },
}

/// POST /
fn upload(request: Request<'_>) -> Result<Json<Vec<Said>>> {
    let boundary = form::boundary(request.header("content-type"))?;
    let parts = form::parts(request.body(), &boundary)?;
    parts.into_iter().map(said).collect::<Result<_>>().map(Json)
}

fn said(part: form::Part<'_>) -> Result<Said> {
    let Some(filename) = part.filename else {
        let value = str::from_utf8(part.content).map_err(|_| {
            Error::peer(Status::BAD_REQUEST, "a field's value must be UTF-8; send bytes as a file")
        })?;
        return Ok(Said::Field { name: part.name, value: value.to_owned() });
    };
    let mut sha256 = String::new();
    for byte in Sha256::digest(part.content) {
        let _ = write!(sha256, "{byte:02x}"); // writing to a String does not fail
    }
    // the sender's claim: do not trust it, and do not send it to other clients unchecked
    let content_type = part.content_type.unwrap_or("application/octet-stream").to_owned();
    Ok(Said::File { name: part.name, filename, content_type, bytes: part.content.len(), sha256 })
}

firstbyte::main!(App::new().get("/", |_| Reply::html(PAGE)).post("/", upload));
