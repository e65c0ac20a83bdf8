//! A reply of unknown length: each row is sent when it is made, and the code waits for a slow
//! reader, so a million rows need no more memory than one. If it fails half-way, the connection is
//! cut, and the reader sees that the reply is incomplete.
//!
//! Try it: `cargo run --example streaming`, then `curl localhost:9000/rows?count=5`.

use firstbyte::{App, BodyWriter, Reply, Request, Result};
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn rows(request: Request<'_>) -> Result<Reply> {
    let count: u64 = request.parsed_query_param("count")?.unwrap_or(1_000_000);
    Reply::stream("text/csv", move |out| write_rows(out, count))
}

fn write_rows(out: &mut BodyWriter<'_>, count: u64) -> io::Result<()> {
    // Each write is sent at once; the buffer joins small writes.
    let mut out = BufWriter::with_capacity(16 * 1024, out);
    for number in 1..=count {
        writeln!(out, "{number},{}", u128::from(number) * u128::from(number))?;
    }
    out.flush()
}

fn main() -> ExitCode {
    App::new().get("/rows", rows).serve()
}

#[cfg(test)]
mod tests {
    use super::*;
    use firstbyte::test;

    #[test]
    fn writes_rows() {
        assert_eq!(test::get("/rows?count=3").call_web(rows).unwrap().text(), "1,1\n2,4\n3,9\n");
    }
}
