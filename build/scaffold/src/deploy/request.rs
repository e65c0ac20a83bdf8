//! Requests of SCF's API, version 2018-04-16, with the fields that an image function needs. Names
//! are those of the API; a test compares them with the skeletons of `tccli` and with the models of
//! the Python SDK.

use crate::deploy::difference::{MARK, There};
use crate::deploy::function::{Function, PublicNet};
use crate::deploy::trigger::Trigger;
use serde::Serialize;

/// The port that the server in every image of a function listens on; SCF's ImageConfig.ImagePort
/// for a Web server image.
pub const IMAGE_PORT: u16 = 9000;

/// Creates a function.
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
    /// `WS` for a Web function that accepts WebSockets. A later change is impossible.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_type: Option<&'static str>,
    #[serde(flatten)]
    settings: Settings<'a>,
}

/// Replaces a function's image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateFunctionCode<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    code: Code<'a>,
}

/// Replaces a function's settings. Variables that function.toml no longer has are gone afterwards.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateFunctionConfiguration<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(flatten)]
    settings: Settings<'a>,
}

/// Asks for a function's state, or asks for a version's provisioned instances, or ends them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Qualified<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qualifier: Option<&'a str>,
}

/// Publishes the current deployment as a numbered version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublishVersion<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    description: &'a str,
}

/// Requests provisioned instances of a version.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutProvisionedConcurrencyConfig<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    qualifier: &'a str,
    version_provisioned_concurrency_num: u32,
}

/// Asks which version an alias points to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAlias<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
}

/// Points an alias to a version, or creates the alias. The request has no routing, so all of the
/// alias's callers reach that version.
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
    /// Text, as the API requires.
    limit: &'static str,
}

/// Asks for a function's triggers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListTriggers<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    limit: u32,
}

/// Creates a trigger, or replaces the settings of an existing one.
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

/// Deletes a trigger.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteTrigger<'a> {
    function_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    trigger_name: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    /// Only for a bucket: "must be given".
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger_desc: Option<&'a str>,
    qualifier: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Code<'a> {
    image_config: ImageConfig<'a>,
}

/// Without a command or arguments, the image's own apply.
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

/// The settings that an existing function can change.
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
    /// Text, as the API requires.
    dynamic_enabled: &'static str,
    max_concurrency: u32,
}

/// Builder of the requests of one deployment.
#[derive(Clone, Copy, Debug)]
pub struct Requests<'a> {
    /// The settings of function.toml.
    pub function: &'a Function,
    /// The function's name on the platform.
    pub name: &'a str,
    /// The image, pinned.
    pub image_uri: &'a str,
}

impl<'a> Requests<'a> {
    /// Creates a function that does not exist yet.
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

    /// Updates an existing function.
    pub fn update_function_code(self) -> UpdateFunctionCode<'a> {
        UpdateFunctionCode {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            code: self.code(),
        }
    }

    /// Updates an existing function.
    pub fn update_function_configuration(self) -> UpdateFunctionConfiguration<'a> {
        UpdateFunctionConfiguration {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            settings: self.settings(),
        }
    }

    /// Sent before the deployment and between its steps; with a version if there is one.
    pub fn get_function(self, qualifier: Option<&'a str>) -> Qualified<'a> {
        Qualified {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            qualifier,
        }
    }

    /// Sent after the update. The description is the image, so that a version states its image.
    pub fn publish_version(self) -> PublishVersion<'a> {
        PublishVersion {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            description: self.image_uri,
        }
    }

    /// Sent after publishing: the platform provisions versions, never the editable `$LATEST`.
    pub fn put_provisioned(self, qualifier: &'a str) -> PutProvisionedConcurrencyConfig<'a> {
        PutProvisionedConcurrencyConfig {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            qualifier,
            version_provisioned_concurrency_num: self.function.provisioned,
        }
    }

    /// For a version's instances: asks for their progress, and ends them after the alias sends no
    /// more callers to the version.
    pub fn provisioned(self, qualifier: &'a str) -> Qualified<'a> {
        self.get_function(Some(qualifier))
    }

    /// Sent after a version's instances have started: asks for the alias's current version.
    pub fn get_alias(self) -> GetAlias<'a> {
        GetAlias {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            name: &self.function.alias,
        }
    }

    /// Sends callers to the version, as CreateAlias if the alias does not exist, otherwise as
    /// UpdateAlias.
    pub fn point_alias(self, version: &'a str) -> PointAlias<'a> {
        PointAlias {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            name: &self.function.alias,
            function_version: version,
        }
    }

    /// Asks whether any other alias sends callers to an older version. It asks for all aliases,
    /// because the documentation does not say whether an alias that gives a version only a share of
    /// its callers is among those "associated with" it.
    pub fn list_aliases(self) -> ListAliases<'a> {
        ListAliases {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            limit: "100",
        }
    }

    /// Asks for the current triggers. A function has at most 10 of a type.
    pub fn list_triggers(self) -> ListTriggers<'a> {
        ListTriggers {
            function_name: self.name,
            namespace: self.function.namespace.as_deref(),
            limit: 100,
        }
    }

    /// CreateTrigger for a new trigger, UpdateTrigger for an existing one. It invokes the alias, as
    /// callers do.
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

    /// Deletes a trigger that a deployment created and that function.toml no longer has.
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
