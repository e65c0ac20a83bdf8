//! Types of requests: the parameters of each emulated action, as the platform's own models list
//! them (tccli 3.1.189.1, scf 2018-04-16 and cls 2020-10-16). Each request is checked against
//! them first.

/// Action, service, parameters: `Name:type`, `!` if it is required, `[type]` for a list.
pub(super) const ACTIONS: &[(&str, &str, &str)] = &[
    ("GetAccount", "scf", ""),
    (
        "CreateFunction",
        "scf",
        "FunctionName!:text Code!:Code Handler:text Description:text MemorySize:int \
         Timeout:int Environment:Environment Runtime:text VpcConfig:VpcConfig Namespace:text \
         Role:text InstallDependency:text ClsLogsetId:text ClsTopicId:text Type:text \
         CodeSource:text Layers:[LayerVersionSimple] DeadLetterConfig:DeadLetterConfig \
         PublicNetConfig:PublicNetConfigIn CfsConfig:CfsConfig InitTimeout:int Tags:[Tag] \
         AsyncRunEnable:text TraceEnable:text AutoDeployClsTopicIndex:text \
         AutoCreateClsTopic:text ProtocolType:text ProtocolParams:ProtocolParams \
         InstanceConcurrencyConfig:InstanceConcurrencyConfig DnsCache:text \
         IntranetConfig:IntranetConfigIn",
    ),
    ("GetFunction", "scf", "FunctionName:text Qualifier:text Namespace:text ShowCode:text"),
    (
        "ListFunctions",
        "scf",
        "Order:text Orderby:text Offset:int Limit:int SearchKey:text Namespace:text \
         Description:text Filters:[Filter]",
    ),
    (
        "UpdateFunctionCode",
        "scf",
        "FunctionName!:text Handler:text CosBucketName:text CosObjectName:text ZipFile:text \
         Namespace:text CosBucketRegion:text InstallDependency:text EnvId:text Publish:text \
         Code:Code CodeSource:text",
    ),
    (
        "UpdateFunctionConfiguration",
        "scf",
        "FunctionName!:text Description:text MemorySize:int Timeout:int Runtime:text \
         Environment:Environment Namespace:text VpcConfig:VpcConfig Role:text \
         InstallDependency:text ClsLogsetId:text ClsTopicId:text Publish:text L5Enable:text \
         Layers:[LayerVersionSimple] DeadLetterConfig:DeadLetterConfig \
         PublicNetConfig:PublicNetConfigIn CfsConfig:CfsConfig InitTimeout:int \
         ProtocolParams:ProtocolParams InstanceConcurrencyConfig:InstanceConcurrencyConfig \
         DnsCache:text IntranetConfig:IntranetConfigIn IgnoreSysLog:bool",
    ),
    ("PublishVersion", "scf", "FunctionName!:text Description:text Namespace:text"),
    (
        "ListVersionByFunction",
        "scf",
        "FunctionName!:text Namespace:text Offset:int Limit:int Order:text OrderBy:text",
    ),
    ("DeleteFunction", "scf", "FunctionName!:text Namespace:text Qualifier:text"),
    (
        "DeleteFunctionVersion",
        "scf",
        "FunctionName!:text Qualifier!:text Namespace:text ForceDelete:text",
    ),
    (
        "Invoke",
        "scf",
        "FunctionName!:text InvocationType:text Qualifier:text ClientContext:text \
         LogType:text Namespace:text RoutingKey:text",
    ),
    (
        "InvokeFunction",
        "scf",
        "FunctionName!:text Qualifier:text Event:text LogType:text Namespace:text \
         RoutingKey:text",
    ),
    (
        "PutProvisionedConcurrencyConfig",
        "scf",
        "FunctionName!:text Qualifier!:text VersionProvisionedConcurrencyNum!:int \
         Namespace:text TriggerActions:[TriggerAction] ProvisionedType:text \
         TrackingTarget:float MinCapacity:int MaxCapacity:int",
    ),
    ("GetProvisionedConcurrencyConfig", "scf", "FunctionName!:text Namespace:text Qualifier:text"),
    (
        "DeleteProvisionedConcurrencyConfig",
        "scf",
        "FunctionName!:text Qualifier!:text Namespace:text",
    ),
    (
        "GetRequestStatus",
        "scf",
        "FunctionName!:text FunctionRequestId!:text Namespace:text StartTime:text \
         EndTime:text",
    ),
    (
        "CreateTrigger",
        "scf",
        "FunctionName!:text TriggerName!:text Type!:text TriggerDesc:text Namespace:text \
         Qualifier:text Enable:text CustomArgument:text Description:text",
    ),
    (
        "UpdateTrigger",
        "scf",
        "FunctionName!:text TriggerName!:text Type!:text Enable:text Qualifier:text \
         Namespace:text TriggerDesc:text Description:text CustomArgument:text",
    ),
    (
        "UpdateTriggerStatus",
        "scf",
        "Enable!:text FunctionName!:text TriggerName!:text Type!:text Qualifier:text \
         Namespace:text TriggerDesc:text",
    ),
    (
        "DeleteTrigger",
        "scf",
        "FunctionName!:text TriggerName!:text Type!:text Namespace:text TriggerDesc:text \
         Qualifier:text",
    ),
    (
        "ListTriggers",
        "scf",
        "FunctionName!:text Namespace:text Offset:int Limit:int OrderBy:text Order:text \
         Filters:[Filter]",
    ),
    ("CreateNamespace", "scf", "Namespace!:text Description:text ResourceEnv:NamespaceResourceEnv"),
    ("UpdateNamespace", "scf", "Namespace!:text Description!:text"),
    ("DeleteNamespace", "scf", "Namespace!:text"),
    ("ListNamespaces", "scf", "Limit:int Offset:int Orderby:text Order:text SearchKey:[SearchKey]"),
    (
        "CreateAlias",
        "scf",
        "Name!:text FunctionName!:text FunctionVersion!:text Namespace:text \
         RoutingConfig:RoutingConfig Description:text",
    ),
    ("GetAlias", "scf", "FunctionName!:text Name!:text Namespace:text"),
    (
        "UpdateAlias",
        "scf",
        "FunctionName!:text Name!:text FunctionVersion!:text Namespace:text \
         RoutingConfig:RoutingConfig Description:text",
    ),
    (
        "ListAliases",
        "scf",
        "FunctionName!:text Namespace:text FunctionVersion:text Offset:text Limit:text",
    ),
    ("DeleteAlias", "scf", "FunctionName!:text Name!:text Namespace:text"),
    (
        "SearchLog",
        "cls",
        "From!:int To!:int QueryString:text QuerySyntax:int TopicId:text \
         Topics:[MultiTopicSearchInformation] Sort:text Limit:int Offset:int Context:text \
         SamplingRate:float UseNewAnalysis:bool HighLight:bool Query:text SyntaxRule:int",
    ),
];
/// Structures that are types of parameters.
pub(super) const SHAPES: &[(&str, &str)] = &[
    ("CfsConfig", "CfsInsList!:[CfsInsInfo]"),
    (
        "CfsInsInfo",
        "UserId!:text UserGroupId!:text CfsId!:text MountInsId!:text LocalMountDir!:text \
         RemoteMountDir!:text IpAddress:text MountVpcId:text MountSubnetId:text",
    ),
    (
        "Code",
        "CosBucketName:text CosObjectName:text ZipFile:text CosBucketRegion:text DemoId:text \
         TempCosObjectName:text GitUrl:text GitUserName:text GitPassword:text \
         GitPasswordSecret:text GitBranch:text GitDirectory:text GitCommitId:text \
         GitUserNameSecret:text ImageConfig:ImageConfig",
    ),
    ("DeadLetterConfig", "Type!:text Name!:text FilterType:text"),
    ("EipConfigIn", "EipStatus!:text"),
    ("Environment", "Variables:[Variable]"),
    ("Filter", "Name!:text Values!:[text]"),
    (
        "ImageConfig",
        "ImageType!:text ImageUri!:text RegistryId:text EntryPoint:text Command:text \
         Args:text ContainerImageAccelerate:bool ImagePort:int",
    ),
    (
        "InstanceConcurrencyConfig",
        "DynamicEnabled:text MaxConcurrency:int InstanceIsolationEnabled:text Type:text \
         MixNodeConfig:[MixNodeConfig] SessionConfig:SessionConfig",
    ),
    ("IntranetConfigIn", "IpFixed!:text"),
    ("K8SLabel", "Key!:text Value!:text"),
    ("K8SToleration", "Key:text Operator:text Effect:text Value:text TolerationSeconds:int"),
    ("LayerVersionSimple", "LayerName!:text LayerVersion!:int"),
    ("MixNodeConfig", "NodeSpec:text Num:int"),
    ("MultiTopicSearchInformation", "TopicId:text Context:text"),
    ("NamespaceResourceEnv", "TKE:NamespaceResourceEnvTKE OFFLINE:bool"),
    (
        "NamespaceResourceEnvTKE",
        "ClusterID!:text SubnetID!:text Namespace!:text DataPath:text NodeSelector:[K8SLabel] \
         Tolerations:[K8SToleration] Port:int PodTemplatePatch:text",
    ),
    ("ProtocolParams", "WSParams:WSParams"),
    ("PublicNetConfigIn", "PublicNetStatus!:text EipConfig:EipConfigIn"),
    (
        "RoutingConfig",
        "AdditionalVersionWeights:[VersionWeight] AddtionVersionMatchs:[VersionMatch]",
    ),
    ("SearchKey", "Key!:text Value!:text"),
    (
        "SessionConfig",
        "SessionSource:text SessionName:text MaximumConcurrencySessionPerInstance:int \
         MaximumTTLInSeconds:int MaximumIdleTimeInSeconds:int SessionPath:text \
         IdleTimeoutStrategy:text",
    ),
    ("Tag", "Key!:text Value!:text"),
    (
        "TriggerAction",
        "TriggerName!:text TriggerProvisionedConcurrencyNum!:int TriggerCronConfig!:text \
         ProvisionedType:text",
    ),
    ("Variable", "Key:text Value:text"),
    ("VersionMatch", "Version!:text Key!:text Method!:text Expression!:text"),
    ("VersionWeight", "Version!:text Weight!:float"),
    ("VpcConfig", "VpcId:text SubnetId:text"),
    ("WSParams", "IdleTimeOut:int"),
];
