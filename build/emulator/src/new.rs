//! `firstbyte new`: makes a function's project.

use crate::args::NewArguments;
use scaffold::name::Name;
use scaffold::project::{self, Source};
use std::error::Error;
use std::path::Path;

/// Makes the project; returns the text to print.
pub fn new(arguments: &NewArguments) -> Result<String, Box<dyn Error>> {
    let name = match &arguments.name {
        Some(name) => Name::parse(name)?,
        None => Name::of(&arguments.path)?,
    };
    let source = match &arguments.firstbyte {
        Some(text) => Source::parse(text)?,
        None => Source::around(Path::new("."))?,
    };
    let kind = arguments.kind.0;
    let path = project::create(&arguments.path, kind, arguments.calls, &name, &source)?;
    let (path, about, tools) = (path.display(), kind.about, source.tools());
    let calls = arguments.calls.map_or_else(String::new, |client| {
        format!(" and calls {}; {} says where", client.about, client.variable)
    });
    Ok(format!(
        "made      {path}, a function that gets {about}{calls}\n\
         next      cd {path} && just test\n\
         once      {tools}, for the programs that its other recipes call\n"
    ))
}
