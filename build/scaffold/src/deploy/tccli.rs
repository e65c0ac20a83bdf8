//! Calls of `tccli`, Tencent Cloud's own command line, which signs and sends the requests of a
//! plan. This code checks that credentials exist and never reads them. Statuses are those of API
//! 2018-04-16, GetFunction.

use crate::deploy::artefacts::put_trigger_file;
use crate::deploy::difference::{Difference, There, difference};
use crate::deploy::function::Function;
use crate::deploy::plan::{Deployment, PlanError};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Time limit for a function to become active; the platform's own limit for pull and start is 300
/// s.
const ACTIVE_WITHIN: Duration = Duration::from_secs(330);
/// Provisioned instances that the platform starts per minute and region.
const PROVISIONED_A_MINUTE: u32 = 100;
/// Pause between two polls: the platform sends no notification.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Values of the environment, read once by `main`.
#[derive(Clone, Debug, Default)]
pub struct TccliEnvironment {
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// HOME.
    pub home: Option<PathBuf>,
    /// Whether TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are set.
    pub secrets: bool,
    /// Whether to use a cluster's identity (TKE_ROLE_ARN).
    pub cluster_identity: bool,
    /// TCCLI_PROFILE.
    pub profile: Option<String>,
}

/// An installed `tccli`.
#[derive(Clone, Debug)]
pub struct Tccli {
    program: PathBuf,
    /// An endpoint other than the public one, with its scheme.
    endpoint: Option<String>,
}

/// Why the deployment failed or is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum TccliError {
    /// `tccli` is not installed.
    #[error(
        "`tccli` is not on PATH; install it with firstbyte's `build/setup --deploy` or `pip \
         install tccli`, or print the calls with `--dry-run`"
    )]
    NotInstalled,
    /// There are no credentials.
    #[error(
        "`tccli` has no credentials; type `tccli configure`, or set TENCENTCLOUD_SECRET_ID and \
         TENCENTCLOUD_SECRET_KEY, or print the calls with `--dry-run`"
    )]
    NoCredentials,
    /// `tccli` cannot be run.
    #[error("`{program}` cannot be run: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// The platform or tccli refused a call.
    #[error("{action} failed: {said}")]
    Refused {
        /// The action.
        action: &'static str,
        /// The answer.
        said: String,
        /// The platform's code for it, if the platform was reached.
        code: Option<String>,
    },
    /// The platform has the function with another type, which cannot change.
    #[error(
        "`{name}` exists as {there} function, and function.toml has `type = \"{wanted}\"`: the \
         platform cannot change a type. Choose another `name`, or delete the one that is \
         there: {end}"
    )]
    Kind {
        /// The function's name.
        name: String,
        /// Its type.
        there: &'static str,
        /// The wanted type.
        wanted: &'static str,
        /// The command that deletes it.
        end: String,
    },
    /// A call succeeded with an unexpected answer.
    #[error("{action} answered `{said}`, which has no {member}")]
    Answer {
        /// The action.
        action: &'static str,
        /// The answer.
        said: String,
        /// The missing part.
        member: &'static str,
    },
    /// The function ended in a state other than active.
    #[error("the function is {status}: {reasons}; see its page in the console")]
    Failed {
        /// GetFunction's Status.
        status: String,
        /// Its StatusReasons.
        reasons: String,
    },
    /// The function takes too long to become active.
    #[error(
        "the function is still {status} after {} s; ask again with `tccli scf GetFunction`",
        ACTIVE_WITHIN.as_secs()
    )]
    Late {
        /// GetFunction's Status.
        status: String,
    },
    /// Provisioned instances did not start.
    #[error(
        "provisioned instances of version {version}: {reason}; no alias was moved. Fix that and \
         deploy again, or end them: {end}"
    )]
    NotProvisioned {
        /// The version.
        version: String,
        /// GetProvisionedConcurrencyConfig's StatusReason, or that the start takes too long.
        reason: String,
        /// The command that ends the instances that exist.
        end: String,
    },
    /// No deployment created the existing trigger of that name.
    #[error(
        "the {kind} trigger `{name}` exists, no deployment made it, and function.toml has other \
         settings for it; nothing was changed. Choose another name, or delete it: {end}"
    )]
    Trigger {
        /// Its type.
        kind: String,
        /// Its name.
        name: String,
        /// The command that deletes it.
        end: String,
    },
    /// A request cannot be written.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Tccli {
    /// Finds `tccli` and its credentials.
    ///
    /// # Errors
    /// [`TccliError::NotInstalled`] and [`TccliError::NoCredentials`] say what to type.
    pub fn ready(around: &TccliEnvironment, endpoint: Option<String>) -> Result<Tccli, TccliError> {
        let program = find(&around.path).ok_or(TccliError::NotInstalled)?;
        let profile = around.profile.as_deref().unwrap_or("default");
        let stored = around
            .home
            .as_ref()
            .map(|home| home.join(".tccli").join(format!("{profile}.credential")));
        if around.secrets || around.cluster_identity || stored.is_some_and(|file| file.is_file()) {
            Ok(Tccli { program, endpoint })
        } else {
            Err(TccliError::NoCredentials)
        }
    }

    /// Creates or updates the function, with the requests in `folder`. With `provisioned` it also
    /// publishes a version, starts instances, sends the alias's callers there, and ends the
    /// instances of the previous version. `say` receives a line for each step. Returns the version,
    /// if there is a new one.
    ///
    /// # Errors
    /// [`TccliError`]; the steps before the error stay done.
    pub fn deploy(
        &self,
        deployment: &Deployment,
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, TccliError> {
        let requests = deployment.requests();
        deployment.write(folder)?;
        let call = Call { tccli: self, region: &deployment.function.region, folder };
        let mut triggers = Vec::new();
        match call.send("GetFunction", "get-function.json") {
            Ok(there) => {
                check_kind(deployment, &there)?;
                triggers = call.triggers(deployment)?;
                say("updating  the image");
                call.send("UpdateFunctionCode", "update-function-code.json")?;
                call.wait_until_active("get-function.json")?;
                say("updating  the settings");
                call.send("UpdateFunctionConfiguration", "update-function-configuration.json")?;
                kept(&deployment.function, &there).iter().for_each(|line| say(line));
            }
            Err(TccliError::Refused { code: Some(code), .. }) if is_absence(&code) => {
                say("creating  the function");
                call.send("CreateFunction", "create-function.json")?;
            }
            Err(error) => return Err(error),
        }
        call.wait_until_active("get-function.json")?;
        say("active    the function has this image");
        if deployment.function.provisioned == 0 {
            call.look_for_other_callers(deployment, say)?;
            call.set_triggers(deployment, &triggers, say)?;
            return Ok(None);
        }
        let published = call.send("PublishVersion", "publish-version.json")?;
        let version = text("PublishVersion", &published, "FunctionVersion")?;
        say(&format!("published version {version}"));
        call.write("get-version.json", &requests.get_function(Some(&version)))?;
        call.wait_until_active("get-version.json")?;
        let file = "put-provisioned-concurrency-config.json";
        call.write(file, &requests.put_provisioned(&version))?;
        call.send("PutProvisionedConcurrencyConfig", file)?;
        say(&format!(
            "starting  {} provisioned instances of version {version}",
            deployment.function.provisioned
        ));
        call.wait_until_provisioned(deployment, &version)?;
        say("started   all of them");
        if let Some(older) = call.move_alias(deployment, &version, say)? {
            call.end_older(deployment, &older, say)?;
        }
        call.set_triggers(deployment, &triggers, say)?;
        Ok(Some(version))
    }
}

/// Finds the first `tccli` in the folders of a PATH.
pub fn find(path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|folder| folder.join("tccli")).find(|program| program.is_file())
}

/// Calls for one function.
struct Call<'a> {
    tccli: &'a Tccli,
    region: &'a str,
    folder: &'a Path,
}

impl Call<'_> {
    /// Sends the request in a file; returns the answer.
    fn send(&self, action: &'static str, file: &str) -> Result<Value, TccliError> {
        let start = |source| TccliError::Start { program: self.tccli.program.clone(), source };
        let file = std::path::absolute(self.folder.join(file)).map_err(start)?;
        let mut command = Command::new(&self.tccli.program);
        command.args([
            "scf",
            action,
            "--region",
            self.region,
            "--output",
            "json",
            "--cli-input-json",
        ]);
        command.arg(format!("file://{}", file.display()));
        if let Some(endpoint) = &self.tccli.endpoint {
            command.args(["--endpoint", endpoint]);
        }
        let output = command.stdin(Stdio::null()).output().map_err(start)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        // tccli has returned code 0 for success and another for failure since 2018; in both cases
        // it writes to both streams.
        if !output.status.success() || stdout.trim().is_empty() {
            let said =
                format!("{}\n{}", String::from_utf8_lossy(&output.stderr).trim(), stdout.trim());
            let code = said
                .split_once("code:")
                .and_then(|(_, rest)| rest.split_whitespace().next())
                .map(str::to_owned);
            return Err(TccliError::Refused { action, said: said.trim().to_owned(), code });
        }
        serde_json::from_str(&stdout).map_err(|_| TccliError::Answer {
            action,
            said: stdout.trim().to_owned(),
            member: "JSON",
        })
    }

    /// Polls with the request in a file until the function is active.
    fn wait_until_active(&self, file: &str) -> Result<(), TccliError> {
        let begun = Instant::now();
        loop {
            let answer = self.send("GetFunction", file)?;
            let status = text("GetFunction", &answer, "Status")?;
            match status.as_str() {
                "Active" => return Ok(()),
                "Creating" | "Updating" | "Publishing" if begun.elapsed() < ACTIVE_WITHIN => {
                    thread::sleep(ASK_AGAIN_AFTER);
                }
                "Creating" | "Updating" | "Publishing" => return Err(TccliError::Late { status }),
                _ => {
                    let reasons = answer.get("StatusReasons").unwrap_or(&Value::Null).to_string();
                    return Err(TccliError::Failed { status, reasons });
                }
            }
        }
    }

    /// Polls until all requested instances of a version have started.
    fn wait_until_provisioned(
        &self,
        deployment: &Deployment,
        version: &str,
    ) -> Result<(), TccliError> {
        let file = "get-provisioned-concurrency-config.json";
        self.write(file, &deployment.requests().provisioned(version))?;
        let minutes = deployment.function.provisioned.div_ceil(PROVISIONED_A_MINUTE);
        let within = ACTIVE_WITHIN + Duration::from_secs(60) * minutes;
        let failed = |reason: String| TccliError::NotProvisioned {
            version: version.to_owned(),
            reason,
            end: deployment.end(version),
        };
        let begun = Instant::now();
        loop {
            let answer = self.send("GetProvisionedConcurrencyConfig", file)?;
            // The platform may not yet list a request that it has just accepted.
            let status =
                provisioned(&answer, version).map_or("InProgress", |of| member(of, "Status"));
            match status {
                "Done" => return Ok(()),
                "InProgress" if begun.elapsed() < within => thread::sleep(ASK_AGAIN_AFTER),
                "InProgress" => {
                    return Err(failed(format!("still starting after {} s", within.as_secs())));
                }
                other => {
                    let reason =
                        provisioned(&answer, version).map_or("", |of| member(of, "StatusReason"));
                    return Err(failed(format!("{other}, {reason}")));
                }
            }
        }
    }

    /// Sends the alias's callers to `version`; returns their previous version, if it has a number.
    /// If an alias splits its callers between versions, a user is in the middle of a change, so
    /// this does not touch it.
    fn move_alias(
        &self,
        deployment: &Deployment,
        version: &str,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, TccliError> {
        let alias = &deployment.function.alias;
        self.write("point-alias.json", &deployment.requests().point_alias(version))?;
        let found = match self.send("GetAlias", "get-alias.json") {
            Ok(found) => found,
            Err(TccliError::Refused { code: Some(code), .. })
                if code == "ResourceNotFound.Alias" =>
            {
                self.send("CreateAlias", "point-alias.json")?;
                say(&format!("made      alias {alias}, for version {version}"));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let older = text("GetAlias", &found, "FunctionVersion")?;
        if shares(&found).next().is_some() {
            say(&format!(
                "kept      alias {alias} splits its callers between versions, which may be a \
                 change in progress; to send all to version {version}: {}",
                deployment.point(version)
            ));
            return Ok(None);
        }
        self.send("UpdateAlias", "point-alias.json")?;
        say(&format!(
            "moved     alias {alias} from version {older} to {version}; back: {}",
            deployment.point(&older)
        ));
        Ok(is_number(&older).then_some(older))
    }

    /// Ends the instances of `older` if no alias sends callers there any more and they have no
    /// schedule.
    fn end_older(
        &self,
        deployment: &Deployment,
        older: &str,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), TccliError> {
        let file = "delete-provisioned-concurrency-config.json";
        self.write(file, &deployment.requests().provisioned(older))?;
        let has = self.send("GetProvisionedConcurrencyConfig", file)?;
        let Some(has) = provisioned(&has, older) else { return Ok(()) };
        let aliases = self.send("ListAliases", "list-aliases.json")?;
        let Some(why) = why_kept(older, has, &aliases) else {
            self.send("DeleteProvisionedConcurrencyConfig", file)?;
            say(&format!("ending    the provisioned instances of version {older}"));
            return Ok(());
        };
        let end = deployment.end(older);
        say(&format!(
            "kept      the provisioned instances of version {older}, which are paid for: {why}; \
             to end them: {end}"
        ));
        Ok(())
    }

    /// Reads the function's triggers. If function.toml wants other settings for a trigger of
    /// another origin, the deployment ends before it changes anything.
    fn triggers(&self, deployment: &Deployment) -> Result<Vec<There>, TccliError> {
        let listed = self.send("ListTriggers", "list-triggers.json")?;
        let there: Vec<There> = list(&listed, "Triggers").map(There::read).collect();
        let function = &deployment.function;
        let mut foreign = difference(&function.triggers, &there, &function.alias).foreign;
        match foreign.pop() {
            None => Ok(there),
            Some(There { kind, name, qualifier, .. }) => Err(TccliError::Trigger {
                end: format!(
                    "{} --Type {kind} --TriggerName '{name}' --Qualifier '{qualifier}'",
                    deployment.command("DeleteTrigger")
                ),
                kind,
                name,
            }),
        }
    }

    /// Deletes, creates and updates triggers until they match function.toml.
    fn set_triggers(
        &self,
        deployment: &Deployment,
        there: &[There],
        say: &mut dyn FnMut(&str),
    ) -> Result<(), TccliError> {
        let (function, requests) = (&deployment.function, deployment.requests());
        let Difference { remove, create, update, same, .. } =
            difference(&function.triggers, there, &function.alias);
        for gone in &remove {
            self.write("delete-trigger.json", &requests.delete_trigger(gone))?;
            self.send("DeleteTrigger", "delete-trigger.json")?;
            say(&format!("removed   the {} trigger {}", gone.kind, gone.name));
        }
        for at in create {
            let trigger = &function.triggers[at];
            let made = self.send("CreateTrigger", &put_trigger_file(at))?;
            say(&format!("made      the {} trigger {}", trigger.kind, trigger.name));
            let info = made.get("TriggerInfo").unwrap_or(&Value::Null);
            urls(member(info, "TriggerDesc")).for_each(|url| say(&url));
        }
        for at in update {
            let trigger = &function.triggers[at];
            self.send("UpdateTrigger", &put_trigger_file(at))?;
            say(&format!("changed   the {} trigger {}", trigger.kind, trigger.name));
        }
        if same.iter().any(|at| function.triggers[*at].kind == "http") {
            let is_url = |there: &&There| there.kind == "http" && there.qualifier == function.alias;
            let url = there.iter().find(is_url);
            url.into_iter().flat_map(|there| urls(&there.description)).for_each(|url| say(&url));
        }
        Ok(())
    }

    /// Warns if the alias sends callers to a version from a deployment with `provisioned`, and not
    /// to this one.
    fn look_for_other_callers(
        &self,
        deployment: &Deployment,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), TccliError> {
        let alias = &deployment.function.alias;
        self.write("get-alias.json", &deployment.requests().get_alias())?;
        let version = match self.send("GetAlias", "get-alias.json") {
            Ok(found) => text("GetAlias", &found, "FunctionVersion")?,
            Err(TccliError::Refused { code: Some(code), .. })
                if code == "ResourceNotFound.Alias" =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if is_number(&version) {
            say(&format!(
                "note      alias {alias} sends its callers to version {version}, not to this; to \
                 change that: {}\n\x20         and to end the provisioned instances of it: {}",
                deployment.point("$LATEST"),
                deployment.end(&version)
            ));
        }
        Ok(())
    }

    fn write(&self, file: &str, request: &impl Serialize) -> Result<(), PlanError> {
        let path = self.folder.join(file);
        let text = serde_json::to_string_pretty(request).expect("text and numbers serialise");
        fs::write(&path, text).map_err(|source| PlanError::Write { path, source })
    }
}

/// Checks that the existing function has the wanted type. An answer without a type passes.
fn check_kind(deployment: &Deployment, there: &Value) -> Result<(), TccliError> {
    let kinds =
        |web: bool| if web { ("HTTP", "a Web", "web") } else { ("Event", "an event", "event") };
    let (_, _, wanted) = kinds(deployment.function.web);
    let (other, there_as, _) = kinds(!deployment.function.web);
    if member(there, "Type") != other {
        return Ok(());
    }
    Err(TccliError::Kind {
        name: deployment.name.clone(),
        there: there_as,
        wanted,
        end: deployment.command("DeleteFunction"),
    })
}

/// Settings that the platform keeps from earlier deployments although function.toml no longer has
/// them: a request that omits a setting does not change it, and no setting has a documented value
/// for "none".
fn kept(function: &Function, there: &Value) -> Vec<String> {
    let number = |of: &Value| of.as_u64().map(|number| number.to_string()).unwrap_or_default();
    let concurrency =
        there.get("InstanceConcurrencyConfig").and_then(|config| config.get("MaxConcurrency"));
    let of = [
        (
            "description",
            function.description.is_none(),
            member(there, "Description").to_owned(),
            "",
        ),
        ("role", function.role.is_none(), member(there, "Role").to_owned(), ""),
        (
            "init_timeout_s",
            function.init_timeout_s.is_none(),
            there.get("InitTimeout").map(number).unwrap_or_default(),
            "90",
        ),
        (
            "concurrency",
            function.concurrency.is_none(),
            concurrency.map(number).unwrap_or_default(),
            "1",
        ),
        (
            "vpc_id",
            function.vpc.is_none(),
            there.get("VpcConfig").map(|vpc| member(vpc, "VpcId").to_owned()).unwrap_or_default(),
            "",
        ),
        ("public_net", function.public_net.is_none(), public_net(there).to_owned(), "on"),
    ];
    let of = of.into_iter().filter(|(_, is_unsaid, value, default)| {
        *is_unsaid && !value.is_empty() && value != default
    });
    of.map(|(key, _, value, _)| {
        format!(
            "kept      {key} is still {value:?} there; to change it, set it in \
             function.toml, or use the console"
        )
    })
    .collect()
}

/// How a function reaches the internet, in the terms of function.toml; empty if the answer does not
/// state it.
fn public_net(there: &Value) -> &'static str {
    let net = there.get("PublicNetConfig").unwrap_or(&Value::Null);
    let is_fixed = net["EipConfig"]["EipStatus"] == "ENABLE";
    match member(net, "PublicNetStatus") {
        "DISABLE" => "off",
        "ENABLE" if is_fixed => "fixed-ip",
        "ENABLE" => "on",
        _ => "",
    }
}

/// The addresses of a function URL, one line each, from its TriggerDesc.
fn urls(description: &str) -> impl Iterator<Item = String> {
    let said: Value = serde_json::from_str(description).unwrap_or_default();
    let url = |name: &str| said["NetConfig"][name].as_str().unwrap_or_default().to_owned();
    let all = [url("ExtranetUrl"), url("IntranetUrl")].into_iter();
    all.filter(|url| !url.is_empty()).map(|url| format!("url       {url}"))
}

/// Whether a code means that the function does not exist.
fn is_absence(code: &str) -> bool {
    ["ResourceNotFound.Function", "ResourceNotFound.FunctionName"].contains(&code)
}

/// A text member of an answer.
fn text(action: &'static str, answer: &Value, member: &'static str) -> Result<String, TccliError> {
    let found = answer.get(member).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| TccliError::Answer { action, said: answer.to_string(), member })
}

/// A text member; empty if missing.
fn member<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A list member; empty if missing or null.
fn list<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// GetProvisionedConcurrencyConfig's data on a version.
fn provisioned<'a>(answer: &'a Value, version: &str) -> Option<&'a Value> {
    list(answer, "Allocated").find(|of| member(of, "Qualifier") == version)
}

/// The versions that receive a part of an alias's callers, beside the one that it points to. The
/// second name has the API's spelling.
fn shares(alias: &Value) -> impl Iterator<Item = &str> {
    let routing = alias.get("RoutingConfig").unwrap_or(&Value::Null);
    list(routing, "AdditionalVersionWeights")
        .chain(list(routing, "AddtionVersionMatchs"))
        .map(|share| member(share, "Version"))
}

/// Why the deployment must not end the instances of `version`, whose data is `has`; `None` if
/// nothing uses them.
fn why_kept(version: &str, has: &Value, aliases: &Value) -> Option<String> {
    let is_sent = |alias: &&Value| {
        member(alias, "FunctionVersion") == version || shares(alias).any(|share| share == version)
    };
    let others: Vec<&str> =
        list(aliases, "Aliases").filter(is_sent).map(|alias| member(alias, "Name")).collect();
    let total = aliases.get("TotalCount").and_then(Value::as_u64).unwrap_or(0);
    if !others.is_empty() {
        Some(format!("alias {} sends callers there", others.join(", ")))
    } else if (list(aliases, "Aliases").count() as u64) < total {
        Some(format!("there are {total} aliases, and not all of them were checked"))
    } else if list(has, "TriggerActions").next().is_some() {
        Some("they follow a schedule; set it for another version first".to_owned())
    } else {
        None
    }
}

/// Whether it is a published version and not `$LATEST`.
fn is_number(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instances_are_kept_while_they_are_used() {
        let has = json!({"Qualifier": "2", "TriggerActions": null});
        let timetable = json!({"Qualifier": "2", "TriggerActions": [{"TriggerName": "rush"}]});
        let of = |version: &str, shares: Value| {
            let routing = json!({"AdditionalVersionWeights": shares, "AddtionVersionMatchs": []});
            json!({"Name": "a", "FunctionVersion": version, "RoutingConfig": routing})
        };
        let aliases = |all: Value, total: u32| json!({"Aliases": all, "TotalCount": total});
        for (has, aliases, expected) in [
            (&has, aliases(json!([of("3", json!([]))]), 1), None),
            (&has, aliases(json!([{"Name": "a", "FunctionVersion": "3"}]), 1), None),
            (
                &has,
                aliases(json!([of("3", json!([])), of("2", json!([]))]), 2),
                Some("alias a sends callers there"),
            ),
            (
                &has,
                aliases(json!([of("3", json!([{"Version": "2"}]))]), 1),
                Some("alias a sends callers there"),
            ),
            (&has, aliases(json!([of("3", json!([]))]), 101), Some("there are 101 aliases")),
            (&timetable, aliases(json!([of("3", json!([]))]), 1), Some("they follow a schedule")),
        ] {
            let why = why_kept("2", has, &aliases);
            match expected {
                None => assert_eq!(why, None, "{aliases}"),
                Some(expected) => {
                    assert!(
                        why.as_ref().is_some_and(|why| why.starts_with(expected)),
                        "{why:?}: {aliases}"
                    )
                }
            }
        }
    }
}
