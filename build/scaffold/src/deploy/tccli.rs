//! The door to `tccli`, Tencent Cloud's own command line: it signs and sends the requests of a plan. Credentials are
//! looked for but never read. Statuses are those of API 2018-04-16, GetFunction.

use crate::deploy::plan::{Deployment, PlanError};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a function may take to become active; the platform's own limit for pull and start is 300 s.
const ACTIVE_WITHIN: Duration = Duration::from_secs(330);
/// Between two questions: the platform has no way to tell.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What the environment says, read once by `main`.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// HOME.
    pub home: Option<PathBuf>,
    /// Whether TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY are set.
    pub secrets: bool,
    /// Whether a cluster's identity is to be used (TKE_ROLE_ARN).
    pub cluster_identity: bool,
    /// TCCLI_PROFILE.
    pub profile: Option<String>,
}

/// A `tccli` that can be called.
#[derive(Clone, Debug)]
pub struct Tccli {
    program: PathBuf,
    /// Another endpoint than the public one, with scheme.
    endpoint: Option<String>,
}

/// Why nothing, or not everything, was deployed.
#[derive(Debug, thiserror::Error)]
pub enum TccliError {
    /// It is not installed.
    #[error(
        "`tccli` is not on PATH; install it with firstbyte's `build/setup --deploy` or `pip install tccli`, or see with `--dry-run` what it would be asked"
    )]
    NotInstalled,
    /// Nobody has logged in.
    #[error(
        "`tccli` has no credentials; type `tccli configure`, or set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or see with `--dry-run` what would be asked"
    )]
    NoCredentials,
    /// It cannot be run.
    #[error("`{program}` cannot be run: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The platform, or tccli itself, said no.
    #[error("{action} failed: {said}")]
    Refused {
        /// What was asked for.
        action: &'static str,
        /// The answer.
        said: String,
        /// The platform's code for it, if the platform was reached.
        code: Option<String>,
    },
    /// It said yes, but not what was expected.
    #[error("{action} answered `{said}`, which has no {member}")]
    Answer {
        /// What was asked for.
        action: &'static str,
        /// The answer.
        said: String,
        /// What is missing in it.
        member: &'static str,
    },
    /// The function came to another end than active.
    #[error("the function is {status}: {reasons}; the console's page of the function says more")]
    Failed {
        /// GetFunction's Status.
        status: String,
        /// Its StatusReasons.
        reasons: String,
    },
    /// It takes too long.
    #[error("the function is still {status} after {} s; ask again with `tccli scf GetFunction`", ACTIVE_WITHIN.as_secs())]
    Late {
        /// GetFunction's Status.
        status: String,
    },
    /// A request cannot be written.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Tccli {
    /// Finds it, and credentials for it.
    ///
    /// # Errors
    /// [`TccliError::NotInstalled`] and [`TccliError::NoCredentials`] say what to type.
    pub fn ready(around: &Surroundings, endpoint: Option<String>) -> Result<Tccli, TccliError> {
        let program = find(&around.path).ok_or(TccliError::NotInstalled)?;
        let profile = around.profile.as_deref().unwrap_or("default");
        let stored = around.home.as_ref().map(|home| home.join(".tccli").join(format!("{profile}.credential")));
        if around.secrets || around.cluster_identity || stored.is_some_and(|file| file.is_file()) {
            Ok(Tccli { program, endpoint })
        } else {
            Err(TccliError::NoCredentials)
        }
    }

    /// Makes the function or brings it up to date, with the requests in `folder`; publishes and provisions if that is
    /// asked for. `say` is told of each step. Returns the version, if there is a new one.
    ///
    /// # Errors
    /// [`TccliError`]; what was done until then stays done.
    pub fn deploy(
        &self,
        deployment: &Deployment,
        folder: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, TccliError> {
        let requests = deployment.requests();
        deployment.write(folder)?;
        let call = Call { tccli: self, region: &deployment.function.region, folder };
        match call.send("GetFunction", "get-function.json") {
            Ok(_) => {
                say("updating  the image");
                call.send("UpdateFunctionCode", "update-function-code.json")?;
                call.wait_until_active("get-function.json")?;
                say("updating  the settings");
                call.send("UpdateFunctionConfiguration", "update-function-configuration.json")?;
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
        say(&format!("starting  {} provisioned instances of version {version}", deployment.function.provisioned));
        Ok(Some(version))
    }
}

/// The first `tccli` in the folders of a PATH.
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
        command.args(["scf", action, "--region", self.region, "--output", "json", "--cli-input-json"]);
        command.arg(format!("file://{}", file.display()));
        if let Some(endpoint) = &self.tccli.endpoint {
            command.args(["--endpoint", endpoint]);
        }
        let output = command.stdin(Stdio::null()).output().map_err(start)?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        // tccli has said yes with code 0 and no with another since 2018; what it says in either case is on both streams.
        if !output.status.success() || stdout.trim().is_empty() {
            let said = format!("{}\n{}", String::from_utf8_lossy(&output.stderr).trim(), stdout.trim());
            let code = said.split_once("code:").and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned);
            return Err(TccliError::Refused { action, said: said.trim().to_owned(), code });
        }
        serde_json::from_str(&stdout).map_err(|_| TccliError::Answer {
            action,
            said: stdout.trim().to_owned(),
            member: "JSON",
        })
    }

    /// Asks with the request in a file until the function is active.
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

    fn write(&self, file: &str, request: &impl Serialize) -> Result<(), PlanError> {
        let path = self.folder.join(file);
        let text = serde_json::to_string_pretty(request).expect("text and numbers serialise");
        fs::write(&path, text).map_err(|source| PlanError::Write { path, source })
    }
}

/// Whether a code says that there is no such function.
fn is_absence(code: &str) -> bool {
    ["ResourceNotFound.Function", "ResourceNotFound.FunctionName"].contains(&code)
}

/// A member of an answer that is text.
fn text(action: &'static str, answer: &Value, member: &'static str) -> Result<String, TccliError> {
    let found = answer.get(member).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| TccliError::Answer { action, said: answer.to_string(), member })
}
