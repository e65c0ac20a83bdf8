//! Platforms: one file each, with that platform's whole contract as the server meets it: port,
//! paths, hooks, headers, how a failure is signalled. What concerns images is in the image builder.
//! One image serves them all, because each contract applies only if the platform's own header or
//! environment is there; otherwise its paths are ordinary paths.
//!
//! Each file has its contract as a table with the evidence for every row: read (in the named
//! source), seen in public code, inferred, or looked for and not found. Nothing here was run
//! against a cloud endpoint.
//!
//! Reading order: `environment` (which platform is this instance on), `scf`, then the siblings.

mod environment;
mod fc;
mod functiongraph;
mod knative;
mod lambda_adapter;
mod openfaas;
mod scf;

pub use environment::Environment;
pub(crate) use environment::current as of_environment;
pub use lambda_adapter::LambdaContext;
pub(crate) use scf::{EVENT_PATH, REMOTE_ADDR};

use crate::error::{Error, Result};
use crate::headers::Headers;
use crate::reply::Reply;
use std::ops::RangeInclusive;

/// The product on which the function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// Tencent Cloud SCF.
    Scf,
    /// Alibaba Cloud Function Compute.
    Fc,
    /// AWS Lambda behind the Lambda Web Adapter.
    LambdaAdapter,
    /// Knative Serving and Google Cloud Run.
    Knative,
    /// Huawei Cloud FunctionGraph.
    FunctionGraph,
    /// OpenFaaS.
    OpenFaas,
}

/// A request that a platform sends besides invocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hook {
    /// Before the first request: FC `POST /initialize`, FunctionGraph `POST /init`.
    Initialize,
    /// Before the instance is frozen: FC `GET /pre-freeze`.
    PreFreeze,
    /// Before the instance is reclaimed: FC `GET /pre-stop`.
    PreStop,
    /// Health check: OpenFaaS `GET /_/health` and `/_/ready`.
    Health,
}

impl Platform {
    /// All platforms, in the order in which their headers are looked for.
    pub const ALL: [Platform; 6] = [
        Platform::Scf,
        Platform::Fc,
        Platform::LambdaAdapter,
        Platform::FunctionGraph,
        Platform::OpenFaas,
        Platform::Knative,
    ];

    pub(crate) fn contract(self) -> &'static Contract {
        match self {
            Platform::Scf => &scf::CONTRACT,
            Platform::Fc => &fc::CONTRACT,
            Platform::LambdaAdapter => &lambda_adapter::CONTRACT,
            Platform::Knative => &knative::CONTRACT,
            Platform::FunctionGraph => &functiongraph::CONTRACT,
            Platform::OpenFaas => &openfaas::CONTRACT,
        }
    }
}

/// One platform's contract.
pub(crate) struct Contract {
    pub platform: Platform,
    /// Headers that identify the platform: it sends at least one of them with every invocation, and
    /// no other platform sends any.
    pub own_headers: &'static [&'static str],
    /// Port on which it expects the server, if no variable names another.
    pub port: u16,
    /// Environment variables that override `port`; the first match wins.
    pub port_variables: &'static [&'static str],
    /// Time within which the server must listen, in seconds; `None` where no documentation states
    /// it.
    pub start_limit_s: Option<u16>,
    /// Path to which it posts events.
    pub event_path: &'static str,
    /// Whether a POST to the event path with these headers is an event.
    pub is_event: fn(Headers<'_>) -> bool,
    /// Method, path and meaning.
    pub hooks: &'static [(&'static str, &'static str, Hook)],
    pub names: Names,
    /// Extracts the invocation's id from the value of `names.request_id`.
    pub identity: fn(&str) -> &str,
    /// Range in which `names.timeout` can only be seconds; `None` where the unit is not documented.
    pub timeout_s: Option<RangeInclusive<u32>>,
    /// Range in which `names.memory` can only be MB; `None` where the unit is not documented.
    pub memory_mb: Option<RangeInclusive<u32>>,
    /// Turns the reply to an event or a hook into what the platform takes for success or failure.
    pub signal: fn(Reply, Completion) -> Result<Reply>,
}

/// The contracts of [`Platform::ALL`], in its order.
static CONTRACTS: [&Contract; Platform::ALL.len()] = [
    &scf::CONTRACT,
    &fc::CONTRACT,
    &lambda_adapter::CONTRACT,
    &functiongraph::CONTRACT,
    &openfaas::CONTRACT,
    &knative::CONTRACT,
];

/// Whether an event handler or a hook succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    Done,
    Failed,
}

/// Names of the context's headers; "" for what the platform does not send.
pub(crate) struct Names {
    pub request_id: &'static str,
    pub function_name: &'static str,
    pub function_version: &'static str,
    pub namespace: &'static str,
    pub region: &'static str,
    pub app_id: &'static str,
    pub uin: &'static str,
    pub memory: &'static str,
    pub timeout: &'static str,
    pub trigger_source: &'static str,
    pub secret_id: &'static str,
    pub secret_key: &'static str,
    pub session_token: &'static str,
}

impl Names {
    pub(crate) const NONE: Names = Names {
        request_id: "",
        function_name: "",
        function_version: "",
        namespace: "",
        region: "",
        app_id: "",
        uin: "",
        memory: "",
        timeout: "",
        trigger_source: "",
        secret_id: "",
        secret_key: "",
        session_token: "",
    };
}

/// Facts about the platform that the image builder states as well. Not for functions: a test in
/// tests/ compares the two, which must not import each other.
#[doc(hidden)]
#[derive(Debug)]
pub struct Facts {
    pub port: u16,
    pub event_path: &'static str,
    pub start_limit_s: Option<u16>,
    /// Header names in the order of the context's methods; "" for what is not sent.
    pub header_names: [&'static str; 13],
}

impl Platform {
    #[doc(hidden)]
    pub fn facts(self) -> Facts {
        let Contract { port, event_path, start_limit_s, names, .. } = self.contract();
        let header_names = [
            names.request_id,
            names.function_name,
            names.function_version,
            names.namespace,
            names.region,
            names.app_id,
            names.uin,
            names.memory,
            names.timeout,
            names.trigger_source,
            names.secret_id,
            names.secret_key,
            names.session_token,
        ];
        Facts { port: *port, event_path, start_limit_s: *start_limit_s, header_names }
    }
}

/// The platform whose own header the request has.
pub(crate) fn named(headers: Headers<'_>) -> Option<Platform> {
    let has_own = |contract: &&&Contract| {
        contract.own_headers.iter().any(|name| headers.get_bytes(name).is_some())
    };
    CONTRACTS.iter().find(has_own).map(|contract| contract.platform)
}

/// The platform that a request came from. Headers identify it; if the environment identifies one
/// too, the environment wins, because a peer can invent headers.
pub(crate) fn recognise(
    headers: Headers<'_>,
    environment: impl FnOnce() -> Option<Platform>,
) -> Option<Platform> {
    environment().or_else(|| named(headers))
}

/// A request's role for its platform, if it is not an ordinary Web request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Event(Platform),
    Hook(Platform, Hook),
}

/// The role of a request. Paths are compared first, so that an ordinary request costs a dozen
/// comparisons of lengths and does not read the environment.
#[inline(never)] // events of SCF do not reach this function
pub(crate) fn role(
    method: &str,
    path: &str,
    headers: Headers<'_>,
    environment: impl FnOnce() -> Option<Platform>,
) -> Option<Role> {
    let is_event = |contract: &Contract| method == "POST" && path == contract.event_path;
    let hook = |contract: &Contract| {
        let found = contract.hooks.iter().find(|(verb, at, _)| *verb == method && *at == path);
        found.map(|(.., hook)| *hook)
    };
    if !CONTRACTS.iter().any(|contract| is_event(contract) || hook(contract).is_some()) {
        return None;
    }
    let contract = recognise(headers, environment)?.contract();
    match hook(contract) {
        Some(hook) => Some(Role::Hook(contract.platform, hook)),
        None if is_event(contract) && (contract.is_event)(headers) => {
            Some(Role::Event(contract.platform))
        }
        None => None,
    }
}

/// The port to listen on. `PORT` counts on every platform except SCF, where a user's own variable
/// of that name must not move the server off 9000. A platform's own variable with the port counts
/// before it. Without any it is the platform's fixed port, and 9000 if no platform is identified.
///
/// # Errors
/// If a variable that counts is not a number from 0 to 65535.
pub(crate) fn port(variable: &dyn Fn(&str) -> Option<String>) -> Result<u16> {
    let platform = environment::platform(variable);
    let contract = platform.unwrap_or(Platform::Scf).contract();
    let names = if platform.is_some() { contract.port_variables } else { &["PORT"] };
    let Some((name, text)) = names.iter().find_map(|name| variable(name).map(|text| (name, text)))
    else {
        return Ok(contract.port);
    };
    text.parse().map_err(|_| {
        Error::io(format!("{name} is `{text}`; write a number from 0 to 65535, or unset it"))
    })
}

/// `signal` of platforms on which the reply's HTTP status is the signal.
fn by_status(reply: Reply, _: Completion) -> Result<Reply> {
    Ok(reply)
}

/// `identity` of platforms whose header holds only the id.
fn whole(value: &str) -> &str {
    value
}

/// `is_event` of platforms on which every POST to the event path is an event.
fn always(_: Headers<'_>) -> bool {
    true
}

/// The text as a number, if it is within `range` and has no sign, no leading zeros and nothing
/// around it.
pub(crate) fn number_in(text: &str, range: &RangeInclusive<u32>) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| plain && range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::is_secret;

    /// The role of a request on a platform that the environment names, or not.
    pub(super) fn role_of(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        environment: Option<Platform>,
    ) -> Option<Role> {
        role(method, path, Headers::from_pairs(headers), || environment)
    }

    #[test]
    fn every_path_of_a_platform_is_an_ordinary_path_elsewhere() {
        for platform in Platform::ALL {
            let contract = platform.contract();
            let paths = contract.hooks.iter().map(|(method, path, _)| (*method, *path));
            for (method, path) in paths.chain([("POST", contract.event_path)]) {
                assert_eq!(
                    role_of(method, path, &[], None),
                    None,
                    "{method} {path} without a platform"
                );
                for other in Platform::ALL.into_iter().filter(|other| *other != platform) {
                    let found = role_of(method, path, &[], Some(other));
                    let theirs = |role| match role {
                        Role::Event(platform) | Role::Hook(platform, _) => platform == other,
                    };
                    assert!(
                        found.is_none_or(theirs),
                        "{method} {path} of {platform:?} on {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_table_is_in_the_order_of_the_names() {
        for (platform, contract) in Platform::ALL.into_iter().zip(CONTRACTS) {
            assert_eq!((contract.platform, platform.contract().platform), (platform, platform));
        }
    }

    #[test]
    fn every_platforms_secret_headers_are_secret() {
        let others = [lambda_adapter::SECRET_HEADERS, functiongraph::SECRET_HEADERS];
        let credentials = CONTRACTS.iter().flat_map(|contract| {
            let names = &contract.names;
            [names.secret_id, names.secret_key, names.session_token]
        });
        for name in others.concat().into_iter().chain(credentials.filter(|name| !name.is_empty())) {
            assert!(is_secret(name) && is_secret(&name.to_ascii_uppercase()), "{name}");
        }
        assert!(!is_secret("x-scf-request-id") && !is_secret("host"));
    }

    #[test]
    fn the_environment_decides_over_headers() {
        let fc = [("x-fc-request-id", "r")];
        let headers = Headers::from_pairs(&fc);
        assert_eq!(recognise(headers, || None), Some(Platform::Fc));
        assert_eq!(recognise(headers, || Some(Platform::Scf)), Some(Platform::Scf));
        assert_eq!(
            role_of("POST", "/invoke", &fc, Some(Platform::Scf)),
            None,
            "a peer that poses as FC on SCF"
        );
        assert_eq!(role_of("POST", "/invoke", &fc, None), Some(Role::Event(Platform::Fc)));
    }

    #[test]
    fn an_ordinary_path_never_reads_the_environment() {
        let headers = Headers::from_pairs(&[("x-fc-request-id", "r")]);
        let environment = || unreachable!("GET /invoke is not an event");
        assert_eq!(role("GET", "/invoke", headers, environment), None);
    }

    #[test]
    fn chooses_the_port() {
        for (variables, expected) in [
            (&[][..], Ok(9000)),
            (&[("PORT", "8080")], Ok(8080)),
            (&[("PORT", "8080"), ("TENCENTCLOUD_RUNENV", "SCF")], Ok(9000)),
            (&[("PORT", "nonsense"), ("TENCENTCLOUD_RUNENV", "SCF")], Ok(9000)),
            (&[("K_SERVICE", "f")], Ok(8080)),
            (&[("K_SERVICE", "f"), ("PORT", "8081")], Ok(8081)),
            (&[("OPENFAAS_NAME", "f")], Ok(8080)),
            (&[("AWS_LAMBDA_FUNCTION_NAME", "f")], Ok(8080)),
            (&[("AWS_LAMBDA_FUNCTION_NAME", "f"), ("PORT", "7")], Ok(7)),
            (&[("AWS_LAMBDA_FUNCTION_NAME", "f"), ("PORT", "7"), ("AWS_LWA_PORT", "8")], Ok(8)),
            (&[("AWS_LWA_PORT", "8")], Ok(9000)),
            (&[("PORT", "70000")], Err("PORT is `70000`")),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned())
            };
            match (port(&variable), expected) {
                (Ok(port), Ok(expected)) => assert_eq!(port, expected, "{variables:?}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{error}")
                }
                (port, _) => panic!("{variables:?} give {port:?}"),
            }
        }
    }

    #[test]
    fn reads_plain_numbers_only() {
        for (text, number) in
            [("1", Some(1)), ("900", Some(900)), ("901", None), ("0", None), ("03", None)]
        {
            assert_eq!(number_in(text, &(1..=900)), number, "{text}");
        }
        for text in ["", "+3", "-3", "3.0", "3s", " 3", "99999999999999999999"] {
            assert_eq!(number_in(text, &(1..=900)), None, "{text}");
        }
    }
}
