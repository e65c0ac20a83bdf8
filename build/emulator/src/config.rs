//! Configuration of a function on the platform, and the environment of its instances. Platform
//! pages "WebServer image function" (2023-07-10), "Quotas", and the API's CreateFunction.

use microimage::scf;
use scaffold::deploy::function::KEPT_PREFIXES;
use std::time::Duration;

/// Type of a function: how the platform calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each invocation is a POST to /event-invoke.
    Event,
    /// Requests arrive as the client made them.
    Web,
}

impl Mode {
    /// Its name in function.toml.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Event => "event",
            Mode::Web => "web",
        }
    }
}

/// A function's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Event or Web.
    pub mode: Mode,
    /// Its name.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The namespace.
    pub namespace: String,
    /// The region.
    pub region: String,
    /// The account's id, as resource names contain it.
    pub app_id: String,
    /// The account's number, as the console shows it.
    pub uin: String,
    /// Whether the function has a role: requests then have credentials, invented ones here.
    pub role: bool,
    /// Executable in place of the image's entrypoint.
    pub command: Option<String>,
    /// Arguments in place of the image's.
    pub args: Option<Vec<String>>,
    /// The function's own variables.
    pub environment: Vec<(String, String)>,
    /// `HOST:PORT` of this machine that instances may call; local runs only.
    pub reach: Vec<String>,
    /// Longest time without data on a WebSocket; `None` if the function accepts no WebSockets.
    pub websocket_idle: Option<Duration>,
    /// Time limit of an invocation.
    pub timeout: Duration,
    /// Time within which an instance must listen.
    pub init_timeout: Duration,
    /// Memory of an instance, in MiB.
    pub memory_mib: u64,
    /// Requests that an instance gets at once; more than one only for Web functions.
    pub concurrency: usize,
    /// Largest number of instances; invocations beyond their capacity are refused.
    pub max_instances: usize,
    /// Number of instances that are started ahead and never reclaimed.
    pub provisioned: usize,
    /// Time after which an idle instance is ended.
    pub idle: Duration,
    /// Retries of an asynchronous invocation that failed in the function.
    pub retries: u32,
    /// Time between two retries.
    pub retry_interval: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            mode: Mode::Event,
            name: "function".into(),
            version: "$LATEST".into(),
            namespace: "default".into(),
            region: "ap-guangzhou".into(),
            app_id: "1250000000".into(),
            uin: "100000000000".into(),
            role: false,
            command: None,
            args: None,
            environment: Vec::new(),
            reach: Vec::new(),
            websocket_idle: None,
            timeout: scf::DEFAULT_TIMEOUT,
            init_timeout: scf::START_LIMIT,
            memory_mib: 128,
            concurrency: 1,
            max_instances: 10,
            provisioned: 0,
            idle: Duration::from_secs(300),
            retries: 2,
            retry_interval: Duration::from_secs(60),
        }
    }
}

/// Why the platform would refuse a configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number is outside its range.
    #[error("{what} is {value}; it has to be {range}")]
    Range {
        /// Name of the setting.
        what: &'static str,
        /// Its value.
        value: u64,
        /// Its valid range.
        range: &'static str,
    },
    /// Several requests per instance of an event function.
    #[error(
        "an event function gets one request per instance; leave out the concurrency, or make it a \
         Web function"
    )]
    Concurrency,
    /// WebSockets are for Web functions.
    #[error(
        "an event function accepts no WebSockets; leave out their idle time, or make it a Web \
         function"
    )]
    WebSocket,
    /// The execution time is shorter than the idle time of WebSockets.
    #[error(
        "the timeout of {0} s is shorter than the WebSocket idle time of {1} s; make it at least \
         as long"
    )]
    WebSocketIdle(u64, u64),
    /// A variable's name that the platform reserves, or that is invalid.
    #[error(
        "invalid variable name `{0}`: it has to begin with a letter, and not with SCF_, QCLOUD_, \
         TENCENTCLOUD_ or TECENTCLOUD_"
    )]
    Variable(String),
    /// All variables together are too long.
    #[error("the variables have {0} bytes together; the limit is 4096")]
    Variables(usize),
}

impl Config {
    /// Checks the configuration against the platform's limits.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |what, value: u64, holds: bool, range| match holds {
            true => Ok(()),
            false => Err(ConfigError::Range { what, value, range }),
        };
        let timeout_s = self.timeout.as_secs_f64().ceil() as u64;
        range("the timeout in seconds", timeout_s, (1..=900).contains(&timeout_s), "1 to 900")?;
        let init_timeout_s = self.init_timeout.as_secs_f64().ceil() as u64;
        range(
            "the initialization timeout in seconds",
            init_timeout_s,
            (1..=300).contains(&init_timeout_s),
            "1 to 300 (the platform's minimum is 3)",
        )?;
        let memory = self.memory_mib;
        let sold =
            memory == 64 || ((128..=122_880).contains(&memory) && memory.is_multiple_of(128));
        range(
            "the memory in MB",
            memory,
            sold,
            "64, or 128 to 3072 in steps of 128 (to 120 GB on application)",
        )?;
        let concurrency = self.concurrency as u64;
        range("the concurrency", concurrency, (1..=100).contains(&concurrency), "1 to 100")?;
        range(
            "the number of instances",
            self.max_instances as u64,
            self.max_instances > 0,
            "at least 1",
        )?;
        let provisioned = self.provisioned <= self.max_instances;
        range(
            "the number of provisioned instances",
            self.provisioned as u64,
            provisioned,
            "at most the number of instances",
        )?;
        if let Some(idle) = self.websocket_idle {
            if self.mode == Mode::Event {
                return Err(ConfigError::WebSocket);
            }
            if self.timeout < idle {
                return Err(ConfigError::WebSocketIdle(self.timeout.as_secs(), idle.as_secs()));
            }
        }
        if self.mode == Mode::Event && self.concurrency > 1 {
            return Err(ConfigError::Concurrency);
        }
        for (name, _) in &self.environment {
            let kept = KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            if kept || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || name.contains('=') {
                return Err(ConfigError::Variable(name.clone()));
            }
        }
        let bytes = self.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > 4096 { Err(ConfigError::Variables(bytes)) } else { Ok(()) }
    }

    /// The environment of an instance: the platform's variables, then the function's own.
    pub fn variables(&self) -> Vec<(String, String)> {
        let platform = [
            ("TENCENTCLOUD_RUNENV", "SCF"),
            ("USER_CODE_ROOT", "/var/user/"),
            ("USER", "qcloud"),
            ("SCF_FUNCTIONNAME", &self.name),
            ("SCF_FUNCTIONVERSION", &self.version),
            ("TENCENTCLOUD_REGION", &self.region),
            ("TENCENTCLOUD_APPID", &self.app_id),
            ("TENCENTCLOUD_UIN", &self.uin),
        ];
        let platform = platform.map(|(name, value)| (name.to_owned(), value.to_owned()));
        platform.into_iter().chain(self.environment.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_configurations_that_the_platform_accepts() {
        assert_eq!(Config::default().check(), Ok(()));
        type Change = fn(&mut Config);
        let changes: [(Change, &str); 10] = [
            (|c| c.timeout = Duration::from_secs(901), "the timeout in seconds is 901"),
            (|c| c.timeout = Duration::ZERO, "the timeout in seconds is 0"),
            (|c| c.memory_mib = 100, "the memory in MB is 100"),
            (|c| c.concurrency = 2, "one request per instance"),
            (|c| c.concurrency = 101, "1 to 100"),
            (|c| c.provisioned = 11, "at most the number of instances"),
            (|c| c.environment = vec![("SCF_X".into(), "1".into())], "`SCF_X`"),
            (|c| c.environment = vec![("TENCENTCLOUD_X".into(), "1".into())], "`TENCENTCLOUD_X`"),
            (|c| c.environment = vec![("TECENTCLOUD_X".into(), "1".into())], "`TECENTCLOUD_X`"),
            (|c| c.environment = vec![("A".into(), "x".repeat(4096))], "4097 bytes"),
        ];
        for (change, expected) in changes {
            let mut config = Config::default();
            change(&mut config);
            let error = config.check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
