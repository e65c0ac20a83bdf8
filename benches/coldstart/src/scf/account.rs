//! Calls of SCF's API 2018-04-16 in a run, each with the fields that it needs; the ledger records
//! every resource before its creation. Statuses are those of GetFunction (583/115197).

use super::client::{Answer, CallError, Client, Service};
use super::ledger::{Kind, LedgerError, LedgerFile};
use super::refusal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a change may take until the function is active: an image of 1 GiB takes minutes.
const ACTIVE_WITHIN: Duration = Duration::from_secs(330);
/// The first pause between two polls; it doubles up to the longest.
const ASK_AGAIN: Duration = Duration::from_millis(100);
const ASK_AGAIN_AT_MOST: Duration = Duration::from_secs(2);

/// Letters, blanks and commas only: the platform accepts no other characters in a description.
const DESCRIPTION: &str = "made by firstbyte coldstart, deleted when it ends";

/// A function that a run creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Its name.
    pub name: String,
    /// `HOST/NAMESPACE/NAME:TAG@sha256:…`.
    pub image: String,
    /// The enterprise registry of the image; `None` for a personal one.
    pub registry_id: Option<String>,
    /// Command that replaces the image's entrypoint.
    pub command: Option<String>,
    /// Arguments that replace the image's, separated by blanks.
    pub args: Option<String>,
    /// Whether image acceleration is on.
    pub accelerated: bool,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Time limit of a request, in seconds.
    pub timeout_s: u64,
    /// Time limit of pull and start, in seconds.
    pub init_timeout_s: u64,
    /// The role whose credentials the function receives.
    pub role: Option<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Log set and topic of CLS; `None` for the platform's default.
    pub log: Option<(String, String)>,
    /// Network and subnet of the function.
    pub vpc: Option<(String, String)>,
    /// Whether the function reaches the internet; `None` for the platform's default.
    pub public_net: Option<bool>,
}

impl FunctionSpec {
    fn code(&self, image: &str) -> Value {
        let kind = if self.registry_id.is_some() { "enterprise" } else { "personal" };
        let mut config = json!({
            "ImageType": kind,
            "ImageUri": image,
            "ImagePort": 9000,
            "ContainerImageAccelerate": self.accelerated,
        });
        if let Some(id) = &self.registry_id {
            config["RegistryId"] = json!(id);
        }
        if let Some(command) = &self.command {
            config["Command"] = json!(command);
        }
        if let Some(args) = &self.args {
            config["Args"] = json!(args);
        }
        json!({ "ImageConfig": config })
    }

    fn variables(&self, nonce: Option<&str>) -> Value {
        let own = self.environment.iter().map(|(k, v)| json!({ "Key": k, "Value": v }));
        let nonce = nonce.map(|nonce| json!({ "Key": "FIRSTBYTE_BENCH_NONCE", "Value": nonce }));
        json!({ "Variables": own.chain(nonce).collect::<Vec<_>>() })
    }
}

/// Why a run cannot continue, or a sample failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The platform refused a call, or the call did not arrive.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The ledger could not record a resource, so the run did not create it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A change failed.
    #[error("{function} is {status}: {reason}")]
    Failed {
        /// The function.
        function: String,
        /// GetFunction's Status.
        status: String,
        /// Its StatusReasons, or StatusDesc.
        reason: String,
    },
    /// A change takes too long.
    #[error("{function} is still {status} after {} s", ACTIVE_WITHIN.as_secs())]
    Late {
        /// The function.
        function: String,
        /// GetFunction's Status.
        status: String,
    },
    /// Provisioned instances did not start.
    #[error("provisioned instances of {function}, version {version}: {reason}")]
    NotProvisioned {
        /// The function.
        function: String,
        /// Its version.
        version: String,
        /// The platform's message.
        reason: String,
    },
    /// The account or its configuration is unsuitable.
    #[error("{0}")]
    Unfit(String),
}

impl AccountError {
    /// Whether the user ended the run.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Call(CallError::Interrupted))
    }
}

/// The fields of GetFunction that a run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionState {
    /// Status.
    pub status: String,
    /// The topic of its log.
    pub topic: Option<String>,
    /// Whether the log omits the platform's own lines.
    pub ignores_platform_log: bool,
    /// Whether the platform allows calls (`AvailableStatus`): `None` if not stated.
    pub available: Option<String>,
}

/// How a call of a function ended.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The platform's request identity.
    pub request_id: String,
    /// The handler's time, in nanoseconds.
    pub handler_ns: Option<u64>,
    /// The last 4 KB of the log, if the platform returns them.
    pub tail: String,
    /// The failure that the platform reports: its status number, if any, and its message.
    pub failure: Option<(Option<i64>, String)>,
}

/// Functions of one namespace of an account.
pub struct Account {
    /// The client that sends the requests.
    pub client: Client,
    /// The service.
    pub scf: Service,
    /// The namespace.
    pub namespace: String,
}

impl Account {
    /// The same account on its own connection.
    pub fn beside(&self) -> Self {
        Self {
            client: self.client.beside(),
            scf: self.scf.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The same account for cleaning up: the interruption of the run does not end its waits.
    pub fn unstoppable(&self) -> Self {
        Self {
            client: self.client.unstoppable(),
            scf: self.scf.clone(),
            namespace: self.namespace.clone(),
        }
    }

    fn call(&self, action: &str, body: &Value) -> Result<Answer, CallError> {
        self.client.call(&self.scf, action, body)
    }

    /// Calls an action for one function.
    fn ask(&self, action: &str, function: &str, more: Value) -> Result<Answer, CallError> {
        let mut body = json!({ "FunctionName": function, "Namespace": self.namespace });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        self.call(action, &body)
    }

    /// Unreserved concurrency in megabytes, if the account reports it. This is also the first call
    /// of a run, so a wrong key fails here.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn concurrency_left_mib(&self) -> Result<Option<u64>, AccountError> {
        let answer = self.call("GetAccount", &json!({}))?.response;
        let usage = answer.get("AccountUsage").unwrap_or(&Value::Null);
        let number = |name: &str| usage.get(name).and_then(Value::as_u64);
        let (total, taken) =
            (number("TotalConcurrencyMem"), number("TotalAllocatedConcurrencyMem"));
        Ok(total.map(|total| total.saturating_sub(taken.unwrap_or(0))))
    }

    /// Creates the namespace if it does not exist; returns whether it did.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn create_namespace(&self, ledger: &mut LedgerFile) -> Result<bool, AccountError> {
        ledger.intend(Kind::Namespace, &self.namespace, None)?;
        let body = json!({
            "Namespace": self.namespace,
            "Description": DESCRIPTION,
        });
        match self.call("CreateNamespace", &body) {
            Ok(_) => {
                ledger.made(Kind::Namespace, &self.namespace)?;
                Ok(true)
            }
            // The namespace existed before this run, and its content is unknown.
            Err(error) if error.is("ResourceInUse") => {
                ledger.gone(Kind::Namespace, &self.namespace, None)?;
                Ok(false)
            }
            Err(error) => {
                if error.code().is_some() {
                    ledger.gone(Kind::Namespace, &self.namespace, None)?;
                }
                Err(error.into())
            }
        }
    }

    /// Creates a function and waits until it is active.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn create_function(
        &self,
        of: &FunctionSpec,
        ledger: &mut LedgerFile,
    ) -> Result<FunctionState, AccountError> {
        ledger.intend(Kind::Function, &of.name, None)?;
        let mut body = json!({
            "FunctionName": of.name,
            "Namespace": self.namespace,
            "Description": DESCRIPTION,
            "Type": "Event",
            "Runtime": "CustomImage",
            "MemorySize": of.memory_mib,
            "Timeout": of.timeout_s,
            "InitTimeout": of.init_timeout_s,
            "Code": of.code(&of.image),
        });
        if !of.environment.is_empty() {
            body["Environment"] = of.variables(None);
        }
        if let Some(role) = &of.role {
            body["Role"] = json!(role);
        }
        if let Some((set, topic)) = &of.log {
            (body["ClsLogsetId"], body["ClsTopicId"]) = (json!(set), json!(topic));
        }
        if let Some((vpc, subnet)) = &of.vpc {
            body["VpcConfig"] = json!({ "VpcId": vpc, "SubnetId": subnet });
        }
        if let Some(open) = of.public_net {
            // The function gets no fixed public address: it would belong to the account, which
            // would pay for it.
            let status = if open { "ENABLE" } else { "DISABLE" };
            body["PublicNetConfig"] =
                json!({ "PublicNetStatus": status, "EipConfig": { "EipStatus": "DISABLE" } });
        }
        if let Err(error) = self.call("CreateFunction", &body) {
            // A refused resource does not exist; after a lost answer it may exist.
            if error.code().is_some() {
                ledger.gone(Kind::Function, &of.name, None)?;
            }
            return Err(error.into());
        }
        ledger.made(Kind::Function, &of.name)?;
        self.wait_until_active(&of.name, None)
    }

    /// Changes one environment variable.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn change_config(&self, of: &FunctionSpec, nonce: &str) -> Result<(), AccountError> {
        let body = json!({ "Environment": of.variables(Some(nonce)) });
        self.ask("UpdateFunctionConfiguration", &of.name, body)?;
        self.wait_until_active(&of.name, None).map(|_| ())
    }

    /// Sets another image.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn change_image(&self, of: &FunctionSpec, image: &str) -> Result<(), AccountError> {
        self.ask("UpdateFunctionCode", &of.name, json!({ "Code": of.code(image) }))?;
        self.wait_until_active(&of.name, None).map(|_| ())
    }

    /// Publishes a version, waits until it is active, and returns its number.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn publish(&self, function: &str, nonce: &str) -> Result<String, AccountError> {
        let answer = self.ask("PublishVersion", function, json!({ "Description": nonce }))?;
        let version = answer.response.get("FunctionVersion").and_then(Value::as_str);
        let version = version.map(str::to_owned).ok_or_else(|| CallError::Answer {
            action: "PublishVersion".into(),
            endpoint: self.scf.endpoint.to_string(),
            what: "no FunctionVersion".into(),
        })?;
        self.wait_until_active(function, Some(&version))?;
        Ok(version)
    }

    /// Calls GetFunction for a function or a version.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn state(
        &self,
        function: &str,
        version: Option<&str>,
    ) -> Result<(FunctionState, Value), CallError> {
        let more = version.map_or_else(|| json!({}), |version| json!({ "Qualifier": version }));
        let answer = self.ask("GetFunction", function, more)?.response;
        let text = |name: &str| {
            answer.get(name).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let status = text("Status").ok_or_else(|| CallError::Answer {
            action: "GetFunction".into(),
            endpoint: self.scf.endpoint.to_string(),
            what: "no Status".into(),
        })?;
        let state = FunctionState {
            status,
            topic: text("ClsTopicId"),
            ignores_platform_log: match answer.get("IgnoreSysLog") {
                Some(Value::Bool(ignores)) => *ignores,
                Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
                _ => false,
            },
            available: text("AvailableStatus"),
        };
        Ok((state, answer))
    }

    /// Waits until the change is active; until then a call runs the previous content.
    fn wait_until_active(
        &self,
        function: &str,
        version: Option<&str>,
    ) -> Result<FunctionState, AccountError> {
        let (began, mut pause) = (Instant::now(), ASK_AGAIN);
        let name = version.map_or_else(|| function.to_owned(), |v| format!("{function}:{v}"));
        loop {
            let (state, answer) = match self.state(function, version) {
                Ok(found) => found,
                // The platform may not list a version yet that it has just published.
                Err(error) if error.is("ResourceNotFound") && began.elapsed() < ACTIVE_WITHIN => {
                    self.client.wait(pause)?;
                    pause = (pause * 2).min(ASK_AGAIN_AT_MOST);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            match state.status.as_str() {
                "Active" => return Ok(state),
                "Creating" | "Updating" | "Publishing" => {}
                _ => {
                    let reason = ["StatusReasons", "StatusDesc"].iter().find_map(|name| {
                        let said = answer.get(*name)?;
                        let empty = said.is_null() || said.as_array().is_some_and(Vec::is_empty);
                        (!empty).then(|| said.to_string())
                    });
                    return Err(AccountError::Failed {
                        function: name,
                        status: state.status,
                        reason: reason.unwrap_or_else(|| "the platform gives no reason".into()),
                    });
                }
            }
            if began.elapsed() >= ACTIVE_WITHIN {
                return Err(AccountError::Late { function: name, status: state.status });
            }
            self.client.wait(pause)?;
            pause = (pause * 2).min(ASK_AGAIN_AT_MOST);
        }
    }

    /// Calls a version and measures the time from before it writes the request until it has read
    /// the answer.
    ///
    /// # Errors
    /// [`CallError`] when the call itself failed.
    pub fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &str,
    ) -> Result<(Invocation, Answer), CallError> {
        let body = json!({
            "FunctionName": function,
            "Namespace": self.namespace,
            "Qualifier": version,
            "Event": event,
            "LogType": "Tail",
        });
        let answer = self.call("InvokeFunction", &body)?;
        let result = answer.response.get("Result").unwrap_or(&Value::Null);
        let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let request_id = text("FunctionRequestId");
        if request_id.is_empty() {
            return Err(CallError::Answer {
                action: "InvokeFunction".into(),
                endpoint: self.scf.endpoint.to_string(),
                what: "no FunctionRequestId".into(),
            });
        }
        let failed = result.get("InvokeResult").and_then(Value::as_i64).unwrap_or(0);
        let (error, returned) = (text("ErrMsg"), text("RetMsg"));
        let failure = if failed != 0 || !error.is_empty() {
            let said = if error.is_empty() { returned } else { error };
            Some((status_in(&said).or((failed > 0).then_some(failed)), said))
        } else {
            None
        };
        let handler_ns = result
            .get("Duration")
            .and_then(Value::as_f64)
            .filter(|ms| (0.0..1e9).contains(ms))
            .map(|ms| (ms * 1e6) as u64);
        Ok((Invocation { request_id, handler_ns, tail: text("Log"), failure }, answer))
    }

    /// Requests provisioned instances of a version and waits for them.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn provision(
        &self,
        function: &str,
        version: &str,
        instances: u64,
        within: Duration,
        ledger: &mut LedgerFile,
    ) -> Result<(), AccountError> {
        ledger.intend(Kind::Provisioned, function, Some(version))?;
        let body = json!({ "Qualifier": version, "VersionProvisionedConcurrencyNum": instances });
        if let Err(error) = self.ask("PutProvisionedConcurrencyConfig", function, body) {
            if error.code().is_some() {
                ledger.gone(Kind::Provisioned, function, Some(version))?;
            }
            return Err(error.into());
        }
        ledger.made(Kind::Provisioned, function)?;
        let (began, mut pause) = (Instant::now(), ASK_AGAIN);
        let failed = |reason: String| AccountError::NotProvisioned {
            function: function.to_owned(),
            version: version.to_owned(),
            reason,
        };
        loop {
            let ask = json!({ "Qualifier": version });
            let answer = self.ask("GetProvisionedConcurrencyConfig", function, ask)?.response;
            let found = answer.get("Allocated").and_then(Value::as_array).and_then(|list| {
                list.iter().find(|of| of.get("Qualifier").and_then(Value::as_str) == Some(version))
            });
            let text = |name: &str| {
                found.and_then(|of| of.get(name)).and_then(Value::as_str).unwrap_or("").to_owned()
            };
            match text("Status").as_str() {
                "Done" => return Ok(()),
                // The platform may not list a request yet that it has just accepted.
                "InProgress" | "" if began.elapsed() < within => {}
                "InProgress" | "" => {
                    return Err(failed(format!("still starting after {} s", within.as_secs())));
                }
                other => return Err(failed(format!("{other}, {}", text("StatusReason")))),
            }
            self.client.wait(pause)?;
            pause = (pause * 2).min(ASK_AGAIN_AT_MOST);
        }
    }

    /// Ends provisioned instances. The platform refuses this while it starts them
    /// (`ProvisionedInProgress`); the run then tries again.
    ///
    /// # Errors
    /// [`AccountError`]; no error if there are none.
    pub fn unprovision(
        &self,
        function: &str,
        version: &str,
        ledger: &mut LedgerFile,
    ) -> Result<(), AccountError> {
        let (began, mut pause) = (Instant::now(), ASK_AGAIN);
        loop {
            let body = json!({ "Qualifier": version });
            match self.ask("DeleteProvisionedConcurrencyConfig", function, body) {
                Ok(_) => break,
                Err(error) if error.is("ResourceNotFound") => break,
                Err(error)
                    if error.is("FailedOperation.ProvisionedInProgress")
                        && began.elapsed() < ACTIVE_WITHIN =>
                {
                    self.client.wait(pause)?;
                    pause = (pause * 2).min(ASK_AGAIN_AT_MOST);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(ledger.gone(Kind::Provisioned, function, Some(version))?)
    }

    /// Deletes a version with its instances.
    ///
    /// # Errors
    /// [`CallError`]; no error if there is none.
    pub fn delete_version(&self, function: &str, version: &str) -> Result<(), CallError> {
        let body = json!({ "Qualifier": version, "ForceDelete": "true" });
        match self.ask("DeleteFunctionVersion", function, body) {
            Ok(_) => Ok(()),
            Err(error) if error.is("ResourceNotFound") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a function with all its versions, and verifies that it is gone.
    ///
    /// # Errors
    /// [`AccountError`]; no error if there is none.
    pub fn delete_function(
        &self,
        function: &str,
        ledger: &mut LedgerFile,
    ) -> Result<(), AccountError> {
        let (began, mut pause) = (Instant::now(), ASK_AGAIN);
        loop {
            match self.ask("DeleteFunction", function, json!({})) {
                Ok(_) => {}
                Err(error) if error.is("ResourceNotFound") => break,
                // The function is changing or its instances are starting: try again later.
                Err(error) if error.is("FailedOperation") && began.elapsed() < ACTIVE_WITHIN => {}
                Err(error) => return Err(error.into()),
            }
            match self.state(function, None) {
                Err(error) if error.is("ResourceNotFound") => break,
                Err(error) => return Err(error.into()),
                Ok((state, _)) if began.elapsed() >= ACTIVE_WITHIN => {
                    return Err(AccountError::Late {
                        function: function.to_owned(),
                        status: state.status,
                    });
                }
                Ok(_) => {}
            }
            self.client.wait(pause)?;
            pause = (pause * 2).min(ASK_AGAIN_AT_MOST);
        }
        Ok(ledger.gone(Kind::Function, function, None)?)
    }

    /// Deletes the namespace if it contains no function; returns whether it is gone.
    ///
    /// # Errors
    /// [`AccountError`]
    pub fn delete_namespace(
        &self,
        namespace: &str,
        ledger: &mut LedgerFile,
    ) -> Result<bool, AccountError> {
        let gone = match self.functions(namespace, "") {
            Ok(left) if !left.is_empty() => false,
            Ok(_) => match self.call("DeleteNamespace", &json!({ "Namespace": namespace })) {
                Ok(_) => true,
                Err(error) if error.is("ResourceNotFound") => true,
                Err(error) => return Err(error.into()),
            },
            Err(error) if error.is("ResourceNotFound") => true,
            Err(error) => return Err(error.into()),
        };
        // The namespace contains other functions, so the run must not delete it, now or later.
        ledger.gone(Kind::Namespace, namespace, None)?;
        Ok(gone)
    }

    /// Names of the namespace's functions that begin with this prefix.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn functions(&self, namespace: &str, prefix: &str) -> Result<Vec<String>, CallError> {
        let mut body = json!({ "Namespace": namespace, "Limit": 100 });
        if !prefix.is_empty() {
            body["SearchKey"] = json!(prefix);
        }
        let answer = self.call("ListFunctions", &body)?.response;
        let list = answer.get("Functions").and_then(Value::as_array);
        let names = list.into_iter().flatten().filter_map(|f| f.get("FunctionName")?.as_str());
        Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
    }
}

/// Finds the platform's status number in its message: `{"errorCode":-1,"errorMessage":"…",
/// "statusCode":439}`, or one of the names of its table.
fn status_in(said: &str) -> Option<i64> {
    let of_json = serde_json::from_str::<Value>(said)
        .ok()
        .and_then(|value| value.get("statusCode").and_then(Value::as_i64));
    let of_name = || {
        (400..=600).find(|&number| refusal::status(number).is_some_and(|(n, ..)| said.contains(n)))
    };
    of_json.or_else(of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_both_of_its_forms() {
        let body = r#"{"errorCode":-1,"errorMessage":"user process exited","statusCode":439}"#;
        assert_eq!(status_in(body), Some(439));
        assert_eq!(status_in("446 PortBindingFailed: nothing listens"), Some(446));
        assert_eq!(status_in("hello"), None);
    }
}
