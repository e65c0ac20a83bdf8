//! `firstbyte deploy`: turns function.toml into requests, which `tccli` sends.

use crate::args::DeployArguments;
use scaffold::deploy::plan::{self, Deployment};
use scaffold::deploy::tccli::{Tccli, TccliEnvironment};
use std::error::Error;
use std::path::Path;

/// Writes the artefacts, and deploys unless it is a dry run; `say` gets a line for each step.
/// Returns the text to print at the end.
pub fn deploy(
    arguments: &DeployArguments,
    around: &TccliEnvironment,
    say: &mut dyn FnMut(&str),
) -> Result<String, Box<dyn Error>> {
    if arguments.image_name {
        return Ok(format!("{}\n", plan::image_name(&arguments.project)?));
    }
    let deployment = Deployment::read(&arguments.project, Path::new("target"))?;
    let out = &arguments.out;
    deployment.write(out)?;
    let written = format!("written       {}\n", out.display());
    if arguments.dry_run {
        return Ok(format!(
            "{}{written}\nwould call, in this order:\n\n{}",
            deployment.summary(),
            deployment.calls(out)
        ));
    }
    deployment.check()?;
    let tccli = Tccli::ready(around, arguments.endpoint.clone())?;
    say(&format!("{}{}", deployment.summary(), written.trim_end()));
    tccli.deploy(&deployment, out, say)?;
    Ok(String::new())
}
