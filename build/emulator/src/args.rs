//! Command line of firstbyte: commands, flags and help texts.

use clap::{Args, Parser, Subcommand, ValueEnum};
use emulator::api::fault::Fault;
use microimage::cargo;
use microimage::manual::{CompletionsArguments, ManArguments};
use microimage::sandbox::Reach;
use scaffold::client::{CLIENTS, Client};
use scaffold::kind::{KINDS, Kind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tc3::Credential;

/// From a new function to an invoked one.
#[derive(Parser)]
#[command(name = "firstbyte", version, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a new function: a project of its own at PATH
    New(NewArguments),
    /// Run a function on an emulated platform on this machine, until Ctrl-C
    Run(RunArguments),
    /// Invoke the function that `firstbyte run` runs; if none runs, start it for this one
    /// invocation
    Invoke(InvokeArguments),
    /// Deploy the function as function.toml describes it, with tccli
    Deploy(DeployArguments),
    /// Print the completions of a shell
    Completions(CompletionsArguments),
    /// Write the manual pages into a folder
    Man(ManArguments),
}

#[derive(Args)]
pub struct NewArguments {
    /// The folder to make; its last part is the function's name
    pub path: PathBuf,
    /// Name of the function; the default is the folder's
    #[arg(long)]
    pub name: Option<String>,
    /// Where firstbyte is: its repository's folder, or a git URL; not needed inside that repository
    #[arg(long, value_name = "PATH|URL", overrides_with = "firstbyte")]
    pub firstbyte: Option<String>,
    #[command(flatten)]
    pub kind: KindArguments,
    /// A service that the function calls, for any kind: redis, https, postgres, mysql or cos
    #[arg(long, value_name = "CLIENT", value_parser = client)]
    pub calls: Option<&'static Client>,
}

#[derive(Args)]
pub struct RunArguments {
    /// A static program, or a package or example to build; the default is this folder's function
    #[arg(conflicts_with = "image")]
    pub function: Option<String>,
    #[command(flatten)]
    pub platform: PlatformArguments,
    /// Address for callers
    #[arg(long, default_value = "127.0.0.1:9001", value_name = "HOST:PORT")]
    pub address: SocketAddr,
    /// Build again and replace the program when a file changes; no request is dropped
    #[arg(long, conflicts_with = "image")]
    pub watch: bool,
    /// Requests that an instance gets at once; more than 1 only for Web functions
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// Largest number of instances; requests beyond their capacity are answered with 432; the
    /// default is 10, or the number provisioned
    #[arg(long, value_name = "N")]
    pub instances: Option<usize>,
    /// Instances that are started ahead and not ended when idle
    #[arg(long, value_name = "N")]
    pub provisioned: Option<usize>,
    /// Time after which an instance without requests is ended
    #[arg(long, default_value = "300", value_name = "SECONDS", value_parser = seconds)]
    pub idle: Duration,
    /// Emulate the cloud's API at this loopback address for --image; no instance starts before a
    /// function is made and called
    #[arg(long, value_name = "HOST:PORT", requires = "image")]
    pub api: Option<SocketAddr>,
    /// The only key whose signatures the API accepts
    #[arg(long, value_name = "ID:KEY", requires = "api", value_parser = key)]
    #[arg(default_value = "test-id:test-key")]
    pub api_key: Credential,
    /// File for the API's state; the default is target/api/PORT.redb, and no file with port 0
    #[arg(long, value_name = "FILE", requires = "api")]
    pub api_state: Option<PathBuf>,
    /// A fault of the API, NAME[=ARGUMENT][*TIMES]; may be repeated; an unknown name lists them
    #[arg(long, value_name = "FAULT", requires = "api", value_parser = Fault::parse)]
    pub fault: Vec<Fault>,
    /// Number of retries of an asynchronous invocation after the function failed
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub retries: u32,
    /// Time between two retries
    #[arg(long, default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub retry_interval: Duration,
}

#[derive(Args)]
pub struct InvokeArguments {
    /// A sample's name, a file, JSON ('{"name":"x"}'), or `-` for standard input; the default is
    /// the project's only event, or `{}`
    pub event: Option<String>,
    /// The event, or a request's body, as text
    #[arg(short, long, value_name = "TEXT", conflicts_with = "event")]
    pub data: Option<String>,
    /// Send a request instead of an event; EVENT, if given, is its body
    #[arg(long, num_args = 2, value_names = ["METHOD", "PATH"])]
    pub web: Option<Vec<String>>,
    /// Do not wait for the result; the platform retries failures
    #[arg(long = "async", conflicts_with = "web")]
    pub later: bool,
    /// Show the header fields that the function gets and sends
    #[arg(long)]
    pub headers: bool,
    /// List the samples
    #[arg(long)]
    pub list: bool,
    /// Address of `firstbyte run`
    #[arg(long, default_value = "127.0.0.1:9001", value_name = "HOST:PORT")]
    pub address: SocketAddr,
    /// If none runs: a static program, or a package or example to build; the default is this
    /// folder's function
    #[arg(long, conflicts_with = "image")]
    pub function: Option<String>,
    #[command(flatten)]
    pub platform: PlatformArguments,
}

/// The function's configuration; function.toml, if there is one, has the defaults.
#[derive(Args)]
pub struct PlatformArguments {
    /// Run an image: layout folder or archive file
    #[arg(long, num_args = 0..=1, default_missing_value = "target/image/oci", value_name = "PATH")]
    pub image: Option<String>,
    /// How a package is compiled
    #[arg(long, value_enum, default_value = "dev")]
    pub profile: Profile,
    /// Event or Web function
    #[arg(long = "type", value_enum)]
    pub kind: Option<FunctionType>,
    /// Memory of an instance: 64, or 128 to 3072 in steps of 128
    #[arg(long, value_name = "MB")]
    pub memory: Option<u64>,
    /// Time limit of an invocation
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Accept WebSockets, and end one after this time without data; Web functions only
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub websocket_idle: Option<Duration>,
    /// Time within which an instance must listen; the default is the platform's 30
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub init_timeout: Option<Duration>,
    /// Environment variable of the function; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Emulate a function with a role: requests carry invented credentials
    #[arg(long)]
    pub role: bool,
    /// Run plain processes instead of a sandbox with a read-only root
    #[arg(long)]
    pub no_sandbox: bool,
    /// Allow calls to this TCP port of this machine, at the same address; may be repeated
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["no_network", "no_sandbox"])]
    pub reach: Vec<Reach>,
    /// Give the function no network except its loopback
    #[arg(long, conflicts_with = "no_sandbox")]
    pub no_network: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FunctionType {
    /// JSON is posted to /event-invoke
    Event,
    /// Requests arrive unchanged
    Web,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Profile {
    /// For development; compiles in seconds
    Dev,
    /// As `just image` builds it
    Fast,
    /// With a recompiled standard library, for size
    Small,
    /// Like small, and a panic ends the process
    Tiny,
    /// Position independent, with overflow checks
    Hardened,
}

impl From<Profile> for cargo::Profile {
    fn from(profile: Profile) -> cargo::Profile {
        match profile {
            Profile::Dev => cargo::Profile::Dev,
            Profile::Fast => cargo::Profile::Fast,
            Profile::Small => cargo::Profile::Small,
            Profile::Tiny => cargo::Profile::Tiny,
            Profile::Hardened => cargo::Profile::Hardened,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "it has to be a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn key(text: &str) -> Result<Credential, String> {
    match text.split_once(':') {
        Some((id, key)) if !id.is_empty() && !key.is_empty() => Ok(Credential::new(id, key)),
        _ => Err("write it as ID:KEY".to_owned()),
    }
}

fn client(text: &str) -> Result<&'static Client, String> {
    let names = || CLIENTS.map(|client| client.name).join(", ");
    Client::named(text).ok_or_else(|| format!("unknown client; the clients are {}", names()))
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Args)]
pub struct DeployArguments {
    /// Print the API calls and make none
    #[arg(long)]
    pub dry_run: bool,
    /// Print the image name in function.toml, to which `just push` pushes, and make no calls
    #[arg(long, conflicts_with_all = ["dry_run", "endpoint"])]
    pub image_name: bool,
    /// The function's folder, with function.toml and Cargo.toml; image and bench results are read
    /// from its ./target
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,
    /// Folder for the requests and for examples of other tools
    #[arg(long, value_name = "DIR", default_value = "target/deploy")]
    pub out: PathBuf,
    /// Endpoint in place of the public one, with scheme
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
}

/// Flags of the kinds of function: `--event`, `--timer`, …
pub struct KindArguments(pub &'static Kind);

impl clap::FromArgMatches for KindArguments {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Ok(KindArguments(
            KINDS.iter().find(|kind| matches.get_flag(kind.name)).unwrap_or(&KINDS[0]),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for KindArguments {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flags = KINDS.iter().map(|kind| {
            let default = if kind.name == KINDS[0].name { " (when no kind is given)" } else { "" };
            clap::Arg::new(kind.name)
                .long(kind.name)
                .action(clap::ArgAction::SetTrue)
                .help(format!("It gets {}{default}", kind.about))
                .group("kind")
        });
        command.args(flags).group(clap::ArgGroup::new("kind").multiple(false))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}
