//! Requests of SCF's API, version 2018-04-16, as far as an image function needs them. Names are the
//! API's; a test compares them with the skeletons of `tccli` and with the models of the Python SDK.

use crate::deploy::difference::{MARK, There};
use crate::deploy::function::{Function, PublicNet};
use crate::deploy::trigger::Trigger;
use serde::Serialize;

/// The port that the server in every image of a function listens on; SCF's ImageConfig.ImagePort
/// for a Web server image.
pub const IMAGE_PORT: u16 = 9000;

/// Makes a function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateFunction<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'static str,
    runtime: &'static str,
    code: Code<'a>,
    /// `WS` for a Web function that takes WebSockets. It cannot be switched on later.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_type: Option<&'static str>,
    #[serde(flatten)]
    settings: Settings<'a>,
}

/// Gives a function another image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateFunctionCode<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    code: Code<'a>,
}

/// Gives a function other settings. Variables that function.toml no longer has are gone afterwards.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateFunctionConfiguration<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(flatten)]
    settings: Settings<'a>,
}

/// Asks how a function is, asks for a version's instances that are started ahead, or ends them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Qualified<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qualifier: Option<&'a str>,
}

/// Keeps what is deployed now under a number.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublishVersion<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    description: &'a str,
}

/// Has instances of a version started ahead.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutProvisionedConcurrencyConfig<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    qualifier: &'a str,
    version_provisioned_concurrency_num: u32,
}

/// Asks where an alias points.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAlias<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
}

/// Points an alias to a version, or makes one that does. Nothing is said of routing: all of its
/// callers get there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PointAlias<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
    function_version: &'a str,
}

/// Asks which aliases point to a version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAliases<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    /// Text in the API.
    limit: &'static str,
}

/// Asks what fires a function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTriggers<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    limit: u32,
}

/// Makes a trigger, or gives one that is there other settings.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutTrigger<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    trigger_name: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    trigger_desc: String,
    qualifier: &'a str,
    enable: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_argument: Option<&'a str>,
    description: &'static str,
}

/// Ends a trigger.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteTrigger<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    trigger_name: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    /// A bucket's only: "must be given".
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_desc: Option<&'a str>,
    qualifier: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Code<'a> {
    image_config: ImageConfig<'a>,
}

/// Where no command or no arguments are said, the image's own hold.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageConfig<'a> {
    image_type: &'static str,
    image_uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    /// "Separated by spaces".
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<String>,
    container_image_accelerate: bool,
    image_port: u16,
}

/// What can be changed after a function was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Settings<'a> {
    memory_size: u32,
    timeout: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_concurrency_config: Option<InstanceConcurrencyConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_params: Option<ProtocolParams>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_config: Option<VpcConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_net_config: Option<PublicNetConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_logset_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_topic_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProtocolParams {
    #[serde(rename = "WSParams")]
    ws_params: WsParams,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct WsParams {
    idle_time_out: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VpcConfig<'a> {
    vpc_id: &'a str,
    subnet_id: &'a str,
}

/// `ENABLE` or `DISABLE` each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PublicNetConfig {
    public_net_status: &'static str,
    eip_config: EipConfig,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EipConfig {
    eip_status: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment<'a> {
    variables: Vec<Variable<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Variable<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceConcurrencyConfig {
    /// Text in the API.
    dynamic_enabled: &'static str,
    max_concurrency: u32,
}

/// Makes the requests of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// What function.toml says.
    pub function: &'a Function,
    /// The function's name on the platform.
    pub name: &'a str,
    /// The image, pinned.
    pub image_uri: &'a str,
}

impl<'a> Requests<'a> {
    /// For a function that is not there yet.
    pub fn create_function(self) -> CreateFunction<'a> {
        CreateFunction {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            kind: if self.function.web { "HTTP" } else { "Event" },
            runtime: "CustomImage",
            code: self.code(),
            protocol_type: self.function.websocket_idle_s.map(|_| "WS"),
            settings: Settings {
                environment: self
                    .environment()
                    .filter(|environment| !environment.variables.is_empty()),
                ..self.settings()
            },
        }
    }

    /// For one that is.
    pub fn update_function_code(self) -> UpdateFunctionCode<'a> {
        UpdateFunctionCode {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            code: self.code(),
        }
    }

    /// For one that is.
    pub fn update_function_configuration(self) -> UpdateFunctionConfiguration<'a> {
        UpdateFunctionConfiguration {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            settings: self.settings(),
        }
    }

    /// Before and in between; a version when there is one.
    pub fn get_function(self, qualifier: Option<&'a str>) -> Qualified<'a> {
        Qualified {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            qualifier,
        }
    }

    /// After it is up to date. The description is the image, so that a version says what it runs.
    pub fn publish_version(self) -> PublishVersion<'a> {
        PublishVersion {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            description: self.image_uri,
        }
    }

    /// After it was published: the platform provisions versions, never what is being edited.
    pub fn put_provisioned(self, qualifier: &'a str) -> PutProvisionedConcurrencyConfig<'a> {
        PutProvisionedConcurrencyConfig {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            qualifier,
            version_provisioned_concurrency_num: self.function.provisioned,
        }
    }

    /// For a version's instances: how far they are, and, when no caller is sent to it any more,
    /// their end.
    pub fn provisioned(self, qualifier: &'a str) -> Qualified<'a> {
        self.get_function(Some(qualifier))
    }

    /// After a version's instances have started: who is sent where now.
    pub fn get_alias(self) -> GetAlias<'a> {
        GetAlias {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            name: &self.function.alias,
        }
    }

    /// Then this sends callers there, as CreateAlias where there is no such alias and as
    /// UpdateAlias where there is.
    pub fn point_alias(self, version: &'a str) -> PointAlias<'a> {
        PointAlias {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            name: &self.function.alias,
            function_version: version,
        }
    }

    /// Then whether any other alias sends callers to an older version. All are asked for, because
    /// an alias that gives a version a share of its callers only is not said to be among those
    /// "associated with" it.
    pub fn list_aliases(self) -> ListAliases<'a> {
        ListAliases {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            limit: "100",
        }
    }

    /// What fires it now. It has 10 of a type at most.
    pub fn list_triggers(self) -> ListTriggers<'a> {
        ListTriggers {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            limit: 100,
        }
    }

    /// As CreateTrigger for one that is not there and as UpdateTrigger for one that is. It fires
    /// whom callers reach, too: the alias.
    pub fn put_trigger(self, trigger: &'a Trigger) -> PutTrigger<'a> {
        PutTrigger {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            trigger_name: &trigger.name,
            kind: trigger.kind,
            trigger_desc: trigger.text(),
            qualifier: &self.function.alias,
            enable: if trigger.enabled { "OPEN" } else { "CLOSE" },
            custom_argument: (trigger.kind == "timer").then_some(trigger.message.as_str()),
            description: MARK,
        }
    }

    /// For one that a deployment made and function.toml no longer has.
    pub fn delete_trigger(self, there: &'a There) -> DeleteTrigger<'a> {
        DeleteTrigger {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            trigger_name: &there.name,
            kind: &there.kind,
            trigger_desc: (there.kind == "cos").then_some(there.description.as_str()),
            qualifier: &there.qualifier,
        }
    }

    fn code(self) -> Code<'a> {
        let registry_id = self.function.registry_id.as_deref();
        Code {
            image_config: ImageConfig {
                image_type: if registry_id.is_some() { "enterprise" } else { "personal" },
                image_uri: self.image_uri,
                registry_id,
                command: self.function.command.as_deref(),
                args: self.function.args.as_ref().map(|args| args.join(" ")),
                container_image_accelerate: self.function.acceleration,
                image_port: IMAGE_PORT,
            },
        }
    }

    fn settings(self) -> Settings<'a> {
        Settings {
            memory_size: self.function.memory_mb,
            timeout: self.function.timeout_s,
            init_timeout: self.function.init_timeout_s,
            description: self.function.description.as_deref(),
            role: self.function.role.as_deref(),
            environment: self.environment(),
            instance_concurrency_config: self.function.concurrency.map(|max_concurrency| {
                InstanceConcurrencyConfig { dynamic_enabled: "FALSE", max_concurrency }
            }),
            protocol_params: self
                .function
                .websocket_idle_s
                .map(|idle_time_out| ProtocolParams { ws_params: WsParams { idle_time_out } }),
            vpc_config: self
                .function
                .vpc
                .as_ref()
                .map(|vpc| VpcConfig { vpc_id: &vpc.vpc_id, subnet_id: &vpc.subnet_id }),
            public_net_config: self.function.public_net.map(|net| {
                let status = |on| if on { "ENABLE" } else { "DISABLE" };
                PublicNetConfig {
                    public_net_status: status(net != PublicNet::Off),
                    eip_config: EipConfig { eip_status: status(net == PublicNet::FixedIp) },
                }
            }),
            cls_logset_id: self.function.log.as_ref().map(|log| log.logset_id.as_str()),
            cls_topic_id: self.function.log.as_ref().map(|log| log.topic_id.as_str()),
        }
    }

    fn environment(self) -> Option<Environment<'a>> {
        let variables =
            self.function.environment.iter().map(|(key, value)| Variable { key, value });
        Some(Environment { variables: variables.collect() })
    }
}
