//! Start of the requested engine on this machine.

use crate::cli::RunArgs;
use coldstart::engine::containerd::Containerd;
use coldstart::engine::docker::Docker;
use coldstart::engine::embedded::{self, Embedded};
use coldstart::engine::node;
use coldstart::engine::{Engine, Target};
use coldstart::floor;
use coldstart::results::EngineKind;
use coldstart::work::Work;
use microimage::sandbox::Network;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Builds the floor and starts the requested engine.
pub fn start_engine(
    args: &RunArgs,
    targets: &[Target],
    stop: Arc<AtomicBool>,
    work: Work,
    notes: &mut Vec<String>,
) -> Result<Box<dyn Engine>, String> {
    let floor = floor::build(work.path())
        .map_err(|e| format!("cannot work in `{}`: {e}", work.path().display()))?;
    let (ask, deadline, limits) = (args.ask(), args.deadline(), args.limits());
    let expected = args.expect.as_deref().map(str::as_bytes);
    let burst_interval = Duration::from_millis(args.burst_interval);
    match args.engine {
        EngineKind::Scf | EngineKind::Lambda | EngineKind::Fc => {
            Err(format!("engine {} starts nothing on this machine", args.engine))
        }
        EngineKind::Embedded => {
            let helper = PathBuf::from("/proc/self/exe");
            let runtime = args.runtime.clone();
            if let Some(runtime) = &runtime {
                notes.push(format!(
                    "created and started by {runtime}; start counts from its `start`"
                ));
            }
            let network = match args.network {
                true => {
                    let network = Network::new(&args.reach, &helper)
                        .map_err(|e| format!("this machine's addresses cannot be listed: {e}"))?
                        .unheard();
                    if !network.has_uplink() {
                        return Err(format!("`--network` is not possible here: {network}"));
                    }
                    Some(Arc::new(network))
                }
                false => None,
            };
            let settings = embedded::Settings {
                ask,
                deadline,
                limits,
                burst_interval,
                stop,
                helper,
                floor,
                runtime,
                network,
            };
            let mut engine =
                Embedded::start(targets.to_vec(), settings, work).map_err(|e| e.to_string())?;
            expected.inspect(|body| engine.expect(body));
            Ok(Box::new(engine))
        }
        EngineKind::Containerd if args.network => Err(
            "the containerd engine has no network: its instances have loopback only; leave out \
             `--network`, or use `--engine embedded`"
                .into(),
        ),
        kind if args.network => {
            Err(format!("the {kind} engine gives each instance its network; leave out `--network`"))
        }
        kind => {
            let floor = match floor {
                Some(_) => Some(Target {
                    name: "calibration".into(),
                    image: floor::image(work.path())?,
                    port: floor::PORT,
                }),
                None => None,
            };
            let settings = node::Settings { ask, deadline, limits, burst_interval, stop };
            if kind == EngineKind::Containerd {
                let mut engine = Containerd::start(targets.to_vec(), floor, settings, work)
                    .map_err(|e| e.to_string())?;
                expected.inspect(|body| engine.expect(body));
                notes.extend(engine.describe());
                return Ok(Box::new(engine));
            }
            let started = match kind {
                EngineKind::Podman => Docker::start_podman(targets.to_vec(), floor, settings, work),
                _ => Docker::start(targets.to_vec(), floor, settings, work),
            };
            let mut engine = started.map_err(|e| e.to_string())?;
            expected.inspect(|body| engine.expect(body));
            notes.extend(engine.describe());
            Ok(Box::new(engine))
        }
    }
}
