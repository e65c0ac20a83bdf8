//! Choice of a program in a workspace, by name or without one. It reads cargo's metadata and runs
//! nothing.

use super::{CargoError, DEFAULT_PACKAGE};
use cargo_metadata::{Package, Target};

/// The package of this name, or an example.
pub(super) fn named<'a>(
    packages: &[&'a Package],
    name: &str,
) -> Result<(&'a Package, &'a Target), CargoError> {
    if let Some(package) = packages.iter().find(|p| p.name.as_str() == name)
        && package.targets.iter().any(Target::is_bin)
    {
        return Ok((package, binary(package)?));
    }
    let examples =
        packages.iter().flat_map(|p| p.targets.iter().filter(|t| t.is_example()).map(|t| (*p, t)));
    if let Some(found) = examples.clone().find(|(_, target)| target.name == name) {
        return Ok(found);
    }
    let binaries = packages
        .iter()
        .filter(|p| p.targets.iter().any(Target::is_bin))
        .map(|p| p.name.to_string());
    let mut known: Vec<_> =
        binaries.chain(examples.map(|(_, t)| t.name.clone())).map(|n| format!("`{n}`")).collect();
    known.sort();
    Err(CargoError::Unknown { name: name.to_owned(), known: known.join(", ") })
}

/// The binary `bin` of the package `name`, or of the only package that has a binary of that name.
pub(super) fn by_binary<'a>(
    packages: &[&'a Package],
    name: Option<&str>,
    bin: &str,
) -> Result<(&'a Package, &'a Target), CargoError> {
    let packages = packages.iter().filter(|p| name.is_none_or(|name| p.name.as_str() == name));
    let binaries: Vec<_> =
        packages.flat_map(|p| p.targets.iter().filter(|t| t.is_bin()).map(|t| (*p, t))).collect();
    let fitting: Vec<_> = binaries.iter().filter(|(_, target)| target.name == bin).collect();
    match fitting.as_slice() {
        [one] => Ok(**one),
        _ => {
            let known = binaries.iter().map(|(p, t)| format!("`{}` of `{}`", t.name, p.name));
            Err(CargoError::Binary {
                bin: bin.to_owned(),
                place: name.map_or("this workspace".to_owned(), |name| format!("package `{name}`")),
                known: known.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// The program of a package: its only binary, its default, or the one named like the package.
pub(super) fn binary(package: &Package) -> Result<&Target, CargoError> {
    let binaries: Vec<_> = package.targets.iter().filter(|t| t.is_bin()).collect();
    let preferred = package.default_run.as_deref().unwrap_or(&package.name);
    match binaries.as_slice() {
        [one] => Ok(one),
        several => several.iter().find(|t| t.name == preferred).copied().ok_or_else(|| {
            CargoError::Binaries { package: package.name.to_string(), count: several.len() }
        }),
    }
}

/// The only package with a program.
pub(super) fn only<'a>(packages: &[&'a Package]) -> Result<(&'a Package, &'a Target), CargoError> {
    let with_binaries: Vec<_> =
        packages.iter().filter(|p| p.targets.iter().any(Target::is_bin)).collect();
    match with_binaries.as_slice() {
        [one] => Ok((one, binary(one)?)),
        _ => named(packages, DEFAULT_PACKAGE),
    }
}
