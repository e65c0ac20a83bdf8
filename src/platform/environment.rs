//! Environment of this instance, read once per process on demand. The server's own configuration
//! (FIRSTBYTE_ADDR and the port) is read by `boot`. Platform page "WebServer image function",
//! 2023-07-10; the siblings' variables are in their files.

use super::Platform;
use std::sync::OnceLock;

/// Environment that the platform gave this instance. What it did not set is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    platform: Option<Platform>,
    /// `TENCENTCLOUD_RUNENV`: `SCF` on SCF.
    pub run_environment: String,
    /// `USER_CODE_ROOT`, `/var/user/` on SCF; an image's files are where its Dockerfile put them.
    pub user_code_root: String,
    /// `USER`, `qcloud` on SCF.
    pub user: String,
    /// `SCF_FUNCTIONNAME` (Knative `K_SERVICE`, Lambda `AWS_LAMBDA_FUNCTION_NAME`, OpenFaaS
    /// `OPENFAAS_NAME`).
    pub function_name: String,
    /// `SCF_FUNCTIONVERSION` (Knative `K_REVISION`).
    pub function_version: String,
    /// `TENCENTCLOUD_REGION`, for example `ap-guangzhou`.
    pub region: String,
    /// `TENCENTCLOUD_APPID`.
    pub app_id: String,
    /// `TENCENTCLOUD_UIN`.
    pub uin: String,
    /// `TZ`: the time zone; if it is empty the platform's clock shows UTC.
    pub time_zone: String,
}

impl Environment {
    /// This process's environment, as it was at the first call.
    ///
    /// # Cold start
    /// The first call is a dozen look-ups in the process's environment, without a system call.
    /// Nothing in this crate calls it before the first reply.
    pub fn current() -> &'static Environment {
        static CURRENT: OnceLock<Environment> = OnceLock::new();
        CURRENT.get_or_init(|| Environment::read(&|name| std::env::var(name).ok()))
    }

    /// The environment that `variable` describes: for tests.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Environment {
        let first = |names| first(variable, names);
        Environment {
            platform: platform(variable),
            run_environment: first(&["TENCENTCLOUD_RUNENV"]),
            user_code_root: first(&["USER_CODE_ROOT"]),
            user: first(&["USER"]),
            function_name: first(&[
                "SCF_FUNCTIONNAME",
                "K_SERVICE",
                "AWS_LAMBDA_FUNCTION_NAME",
                "OPENFAAS_NAME",
            ]),
            function_version: first(&["SCF_FUNCTIONVERSION", "K_REVISION"]),
            region: first(&["TENCENTCLOUD_REGION"]),
            app_id: first(&["TENCENTCLOUD_APPID"]),
            uin: first(&["TENCENTCLOUD_UIN"]),
            time_zone: first(&["TZ"]),
        }
    }

    /// The platform that this environment belongs to. `None` if it identifies none: FC and
    /// FunctionGraph are known only by the headers of their requests.
    pub fn platform(&self) -> Option<Platform> {
        self.platform
    }
}

#[inline(never)] // ten calls, once per process: size over speed
fn first(variable: &dyn Fn(&str) -> Option<String>, names: &[&str]) -> String {
    names.iter().find_map(|name| variable(name)).unwrap_or_default()
}

/// The platform that this process's environment identifies, read once: four look-ups.
pub(crate) fn current() -> Option<Platform> {
    static CURRENT: OnceLock<Option<Platform>> = OnceLock::new();
    *CURRENT.get_or_init(|| platform(&|name| std::env::var(name).ok()))
}

/// The platform whose own variable is set. SCF comes first: there, every other name may be a user's
/// own variable.
pub(super) fn platform(variable: &dyn Fn(&str) -> Option<String>) -> Option<Platform> {
    if variable("TENCENTCLOUD_RUNENV").is_some_and(|value| value == "SCF") {
        return Some(Platform::Scf);
    }
    [
        ("AWS_LAMBDA_FUNCTION_NAME", Platform::LambdaAdapter),
        ("K_SERVICE", Platform::Knative),
        ("OPENFAAS_NAME", Platform::OpenFaas),
    ]
    .into_iter()
    .find(|(name, _)| variable(name).is_some())
    .map(|(_, platform)| platform)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Environment {
        Environment::read(&|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn reads_every_documented_variable_of_scf() {
        let scf = with(&[
            ("TENCENTCLOUD_RUNENV", "SCF"),
            ("USER_CODE_ROOT", "/var/user/"),
            ("USER", "qcloud"),
            ("SCF_FUNCTIONNAME", "example"),
            ("SCF_FUNCTIONVERSION", "$LATEST"),
            ("TENCENTCLOUD_REGION", "ap-guangzhou"),
            ("TENCENTCLOUD_APPID", "1250000000"),
            ("TENCENTCLOUD_UIN", "100000000000"),
            ("TZ", "Asia/Shanghai"),
        ]);
        assert_eq!(scf.platform(), Some(Platform::Scf));
        assert_eq!(
            (&*scf.run_environment, &*scf.user_code_root, &*scf.user),
            ("SCF", "/var/user/", "qcloud")
        );
        assert_eq!((&*scf.function_name, &*scf.function_version), ("example", "$LATEST"));
        assert_eq!((&*scf.region, &*scf.app_id), ("ap-guangzhou", "1250000000"));
        assert_eq!((&*scf.uin, &*scf.time_zone), ("100000000000", "Asia/Shanghai"));
    }

    #[test]
    fn a_users_variable_does_not_make_scf_another_platform() {
        assert_eq!(
            with(&[("TENCENTCLOUD_RUNENV", "SCF"), ("K_SERVICE", "x")]).platform(),
            Some(Platform::Scf)
        );
        assert_eq!(with(&[("TENCENTCLOUD_RUNENV", "else")]).platform(), None);
        assert_eq!(with(&[]), Environment::default());
    }

    #[test]
    fn reads_the_function_of_the_siblings() {
        let knative = with(&[("K_SERVICE", "f"), ("K_REVISION", "f-1"), ("K_CONFIGURATION", "f")]);
        assert_eq!((&*knative.function_name, &*knative.function_version), ("f", "f-1"));
        assert_eq!(knative.platform(), Some(Platform::Knative));
        let lambda = with(&[("AWS_LAMBDA_FUNCTION_NAME", "l")]);
        assert_eq!(
            (&*lambda.function_name, lambda.platform()),
            ("l", Some(Platform::LambdaAdapter))
        );
        let openfaas = with(&[("OPENFAAS_NAME", "o"), ("OPENFAAS_NAMESPACE", "openfaas-fn")]);
        assert_eq!(
            (&*openfaas.function_name, openfaas.platform()),
            ("o", Some(Platform::OpenFaas))
        );
    }
}
