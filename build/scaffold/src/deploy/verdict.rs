//! Verdicts of the cold-start bench on the two switches of a deployment, read from its
//! results.json; the schema is docs/CONTRACTS.md, section 5.

use serde::Deserialize;
use std::fs;
use std::io;
use std::path::Path;

/// The supported schema.
const SCHEMA: u32 = 1;
/// The link that resembles a deployment most: platform pages require an image in the function's
/// region.
const USUAL_LINK: &str = "same-region";

/// The bench's verdicts on both switches, or the reason why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// On image acceleration.
    pub acceleration: String,
    /// On provisioned concurrency.
    pub provisioned: String,
}

#[derive(Deserialize)]
struct Results {
    schema: u32,
    host: Host,
    guidance: Vec<Guidance>,
}

#[derive(Deserialize)]
struct Host {
    date: String,
    cpu_model: String,
}

#[derive(Deserialize)]
struct Guidance {
    id: String,
    variant: String,
    link: Option<String>,
    modelled: bool,
    measured: String,
    verdict: String,
}

impl Verdicts {
    /// Reads the verdicts on `variant` from results.json.
    pub fn read(path: &Path, variant: &str) -> Verdicts {
        let results = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Verdicts::none("not measured; `just bench-coldstart` measures it");
            }
            Err(error) => {
                return Verdicts::none(&format!("`{}` cannot be read: {error}", path.display()));
            }
        };
        match serde_json::from_slice::<Results>(&results) {
            Ok(results) if results.schema == SCHEMA => Verdicts::of(&results, variant),
            _ => Verdicts::none(
                "results.json has another schema; measure again with `just bench-coldstart`",
            ),
        }
    }

    fn none(why: &str) -> Verdicts {
        Verdicts { acceleration: why.to_owned(), provisioned: why.to_owned() }
    }

    fn of(results: &Results, variant: &str) -> Verdicts {
        let quote = |id: &str| {
            let rows =
                || results.guidance.iter().filter(|row| row.id == id && row.variant == variant);
            match rows()
                .find(|row| row.link.as_deref() == Some(USUAL_LINK))
                .or_else(|| rows().next())
            {
                Some(row) => {
                    let link = row.link.as_deref().unwrap_or("no link");
                    let modelled = if row.modelled { ", modelled" } else { "" };
                    let day = results.host.date.split('T').next().unwrap_or_default();
                    // The first and last sentence: the finding, and the advice.
                    let verdict =
                        match row.verdict.split_once(". ").zip(row.verdict.rsplit_once(". ")) {
                            Some(((first, _), (_, last))) => format!("{first}. {last}"),
                            None => row.verdict.clone(),
                        };
                    format!(
                        "{verdict} ({}; {link}{modelled}; {day}, {})",
                        row.measured, results.host.cpu_model
                    )
                    .replace(['\n', '\r'], " ")
                }
                None => format!("`{variant}` was not measured; `just bench-coldstart` measures it"),
            }
        };
        Verdicts { acceleration: quote("acceleration"), provisioned: quote("provisioned") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = r#"{"schema":1,
        "host":{"date":"2026-11-22T10:00:00Z","cpu_model":"A CPU","cores":2},"variants":[],
        "guidance":[
        {"id":"acceleration","variant":"hello","link":"loopback","modelled":false,
         "measured":"m0","verdict":"v0"},
        {"id":"acceleration","variant":"hello","link":"same-region","modelled":true,
         "measured":"m1","verdict":"leave it off"},
        {"id":"acceleration","variant":"other","link":"same-region","modelled":true,
         "measured":"m2","verdict":"v2"},
        {"id":"provisioned","variant":"hello","link":"loopback","modelled":false,
         "measured":"m3","verdict":"rarely pays"}]}"#;

    #[test]
    fn quotes_the_row_of_this_function_and_the_usual_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        fs::write(&path, RESULTS).unwrap();
        let verdicts = Verdicts::read(&path, "hello");
        assert_eq!(
            verdicts.acceleration,
            "leave it off (m1; same-region, modelled; 2026-11-22, A CPU)"
        );
        assert_eq!(verdicts.provisioned, "rarely pays (m3; loopback; 2026-11-22, A CPU)");
        assert!(Verdicts::read(&path, "else").acceleration.contains("`else` was not measured"));
    }

    #[test]
    fn reports_why_there_is_no_verdict() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        assert!(Verdicts::read(&path, "hello").provisioned.starts_with("not measured"));
        fs::write(&path, RESULTS.replace("\"schema\":1", "\"schema\":2")).unwrap();
        assert!(Verdicts::read(&path, "hello").provisioned.contains("another schema"));
        assert!(Verdicts::read(folder.path(), "hello").provisioned.contains("cannot be read"));
    }
}
