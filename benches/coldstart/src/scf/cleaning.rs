//! Clean-up: deletes the entries of a ledger in reverse order and verifies that they are gone. An
//! entry that it cannot delete stays in the ledger; the tool prints it with the command that
//! deletes it.

use super::account::{Account, AccountError};
use super::ledger::{Entry, Kind, LedgerFile};

/// Result of a clean-up.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// Number of resources that are gone.
    pub gone: usize,
    /// Resources that could not be deleted, each with the reason and a command.
    pub left: Vec<String>,
    /// Resources that the clean-up kept on purpose.
    pub notes: Vec<String>,
}

/// Deletes everything in the ledger. `say` receives a line for each step.
///
/// # Errors
/// Only if the ledger itself cannot be written.
pub fn clean_up(
    account: &Account,
    ledger: &mut LedgerFile,
    say: &mut dyn FnMut(&str),
) -> Result<Cleaned, AccountError> {
    let mut cleaned = Cleaned::default();
    let mut entries: Vec<Entry> = ledger.ledger().entries.clone();
    entries.reverse();
    // Deletes first what costs money while idle.
    entries.sort_by_key(|entry| match entry.kind {
        Kind::Provisioned => 0,
        Kind::Function => 1,
        Kind::Tag => 2,
        Kind::Namespace => 3,
    });
    for entry in entries {
        let version = entry.version.as_deref().unwrap_or("");
        let done = match entry.kind {
            Kind::Provisioned => {
                say(&format!("ending    provisioned instances of {}:{version}", entry.name));
                account.unprovision(&entry.name, version, ledger)
            }
            Kind::Function => {
                say(&format!("deleting  {}", entry.name));
                account.delete_function(&entry.name, ledger)
            }
            Kind::Namespace => account.delete_namespace(&entry.name, ledger).map(|gone| {
                if !gone {
                    cleaned
                        .notes
                        .push(format!("namespace {} has other functions, and is kept", entry.name));
                }
            }),
            Kind::Tag => {
                // The cloud's registries do not allow the deletion of a tag through the
                // distribution API.
                cleaned.notes.push(format!(
                    "`{}` stays in your registry: delete the tag in its console, or leave it; it \
                     is a few KiB more than the image that you have there",
                    entry.name
                ));
                ledger.gone(Kind::Tag, &entry.name, None).map_err(AccountError::from)
            }
        };
        match done {
            Ok(()) => cleaned.gone += 1,
            Err(error @ AccountError::Ledger(_)) => return Err(error),
            Err(error) => {
                cleaned.left.push(format!("{}: {error}; {}", entry.name, command(account, &entry)));
            }
        }
    }
    Ok(cleaned)
}

/// The command with which a user deletes the resource.
fn command(account: &Account, entry: &Entry) -> String {
    let (name, version) = (&entry.name, entry.version.as_deref().unwrap_or("$LATEST"));
    let of = format!("--region {} --Namespace {}", account.client.region(), account.namespace);
    match entry.kind {
        Kind::Function => format!("`tccli scf DeleteFunction {of} --FunctionName {name}`"),
        Kind::Provisioned => format!(
            "`tccli scf DeleteProvisionedConcurrencyConfig {of} --FunctionName {name} --Qualifier \
             {version}`"
        ),
        Kind::Namespace => format!(
            "`tccli scf DeleteNamespace --region {} --Namespace {name}`",
            account.client.region()
        ),
        Kind::Tag => "delete the tag in the registry's console".into(),
    }
}
