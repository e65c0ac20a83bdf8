//! Artefacts of a deployment: the files with its requests, and the list of calls that send them. It
//! writes files and sends nothing.

use crate::deploy::example;
use crate::deploy::plan::{Deployment, OLDER, PlanError, VERSION};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

impl Deployment {
    /// All artefacts, as file name and text.
    pub fn files(&self) -> Vec<(String, String)> {
        let requests = self.requests();
        let mut files: Vec<(&str, String)> = vec![
            ("create-function.json", json(&requests.create_function())),
            ("update-function-code.json", json(&requests.update_function_code())),
            ("update-function-configuration.json", json(&requests.update_function_configuration())),
            ("get-function.json", json(&requests.get_function(None))),
            ("publish-version.json", json(&requests.publish_version())),
            ("list-triggers.json", json(&requests.list_triggers())),
        ];
        if self.function.provisioned > 0 {
            files.extend([
                (
                    "put-provisioned-concurrency-config.json",
                    json(&requests.put_provisioned(VERSION)),
                ),
                ("get-provisioned-concurrency-config.json", json(&requests.provisioned(VERSION))),
                ("get-alias.json", json(&requests.get_alias())),
                ("point-alias.json", json(&requests.point_alias(VERSION))),
                ("list-aliases.json", json(&requests.list_aliases())),
                ("delete-provisioned-concurrency-config.json", json(&requests.provisioned(OLDER))),
            ]);
        }
        files.extend([
            ("main.tf", example::terraform(self)),
            ("serverless.yml", example::serverless(self)),
            ("knative.yaml", example::knative(self)),
            ("s.yaml", example::function_compute(self)),
        ]);
        let triggers = self.function.triggers.iter().enumerate();
        let triggers = triggers
            .map(|(at, trigger)| (put_trigger_file(at), json(&requests.put_trigger(trigger))));
        files.into_iter().map(|(name, text)| (name.to_owned(), text)).chain(triggers).collect()
    }

    /// Writes all artefacts into `folder`.
    ///
    /// # Errors
    /// [`PlanError::Write`].
    pub fn write(&self, folder: &Path) -> Result<(), PlanError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| PlanError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(at(folder))?;
        for (name, text) in self.files() {
            let path = folder.join(name);
            fs::write(&path, text).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The calls, in order, with the requests that are in `folder`.
    pub fn calls(&self, folder: &Path) -> String {
        let call = |action: &str, file: &str| {
            let file = folder.join(file);
            format!(
                "tccli scf {action} --region {} --cli-input-json file://{}\n",
                self.function.region,
                file.display()
            )
        };
        let mut text = call("GetFunction", "get-function.json");
        let _ = write!(
            text,
            "if it does not exist:\n  {}",
            call("CreateFunction", "create-function.json")
        );
        let _ = write!(
            text,
            "if it exists:\n  {}",
            call("UpdateFunctionCode", "update-function-code.json")
        );
        let _ = write!(
            text,
            "  {}",
            call("UpdateFunctionConfiguration", "update-function-configuration.json")
        );
        text += "after each of these: GetFunction again, until the function is Active\n";
        if self.function.provisioned > 0 {
            text += &call("PublishVersion", "publish-version.json");
            text += "GetFunction again, until that version is Active\n";
            text +=
                &call("PutProvisionedConcurrencyConfig", "put-provisioned-concurrency-config.json");
            text +=
                &call("GetProvisionedConcurrencyConfig", "get-provisioned-concurrency-config.json");
            text += "again, until its instances are Done\n";
            text += &call("GetAlias", "get-alias.json");
            let _ = write!(
                text,
                "if it does not exist:\n  {}",
                call("CreateAlias", "point-alias.json")
            );
            let _ = write!(text, "if it exists, and sends all of its callers to one version:\n  ");
            text += &call("UpdateAlias", "point-alias.json");
            let _ = write!(
                text,
                "if it pointed to an older version:\n  {}",
                call("ListAliases", "list-aliases.json")
            );
            text += "when no alias points there any more, and that version has instances without \
                     a timetable:\n  ";
            text += &call(
                "DeleteProvisionedConcurrencyConfig",
                "delete-provisioned-concurrency-config.json",
            );
        }
        text += &call("ListTriggers", "list-triggers.json");
        for (at, trigger) in self.function.triggers.iter().enumerate() {
            let _ = write!(
                text,
                "if there is no {} trigger `{}`:\n  {}",
                trigger.kind,
                trigger.name,
                call("CreateTrigger", &put_trigger_file(at))
            );
            if trigger.kind != "cos" {
                let _ = write!(
                    text,
                    "if it exists, a deployment made it, and its settings differ:\n  {}",
                    call("UpdateTrigger", &put_trigger_file(at))
                );
            }
        }
        text += "and DeleteTrigger for each whose Description says that a deployment made it, and \
                 that function.toml no longer has\n";
        let called = |name: &str| name.ends_with(".json") && text.contains(name);
        let files: Vec<_> = self.files().into_iter().filter(|(name, _)| called(name)).collect();
        for (name, content) in files {
            let _ = write!(text, "\n{name}\n{content}");
        }
        text
    }
}

/// The file of the request for the trigger at a place of function.toml's list.
pub(crate) fn put_trigger_file(at: usize) -> String {
    format!("put-trigger-{}.json", at + 1)
}

/// A request as text.
fn json(request: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(request).expect("text and numbers serialise");
    text.push('\n');
    text
}
