//! Function with an initialisation. The first argument, `before` or `first`, states when it runs;
//! the number states how often it fails before it succeeds.

use firstbyte::{App, Error, Init};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static RUNS: AtomicU32 = AtomicU32::new(0);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let when = arguments
        .next()
        .map(|when| if when == "before" { Init::BeforeListening } else { Init::FirstRequest });
    let failures: u32 = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let Some(when) = when else {
        eprintln!("initialised: give `before` or `first`; see programs/initialised.rs");
        return ExitCode::from(2);
    };
    App::new()
        .init(when, move || {
            let run = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
            if when == Init::FirstRequest {
                firstbyte::sleep(Duration::from_millis(100)); // other requests arrive meanwhile
            }
            if run <= failures {
                Err(Error::new(format!("no database, try {run}")))
            } else {
                Ok(())
            }
        })
        .web(|_| format!("initialised after {} runs", RUNS.load(Ordering::Relaxed)))
        .serve()
}
