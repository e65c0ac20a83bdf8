//! Examples of the same deployment for other tools, as plain files to copy from. Nothing runs these
//! files, and each states what to check in it. Strings are quoted as JSON, which is valid YAML.

use crate::deploy::function::{Function, PublicNet};
use crate::deploy::plan::Deployment;
use crate::deploy::request::IMAGE_PORT;
use crate::deploy::trigger::Trigger;
use std::fmt::Write as _;

/// Text in quotes, in the syntax of JSON and YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text in quotes, in Terraform's syntax: `${` and `%{` are escaped, because they begin a template.
fn hcl(text: &str) -> String {
    quoted(text).replace("${", "$${").replace("%{", "%%{")
}

/// Parts of function.toml that name resources of Tencent Cloud, for a comment in another cloud's
/// file.
fn left_out(function: &Function) -> Option<String> {
    let parts = [
        (function.vpc.is_some(), "[vpc]"),
        (function.log.is_some(), "[log]"),
        (!function.triggers.is_empty(), "[[trigger]]"),
    ];
    let parts: Vec<&str> =
        parts.iter().filter(|(is_there, _)| *is_there).map(|(_, name)| *name).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// main.tf: resources of the provider tencentcloudstack/tencentcloud.
pub fn terraform(deployment: &Deployment) -> String {
    let function = &deployment.function;
    let mut inner = Block::new(1);
    inner.set("name", &hcl(&deployment.name));
    if let Some(namespace) = &function.namespace {
        inner.set("namespace", &hcl(namespace));
    }
    if let Some(description) = &function.description {
        inner.set("description", &hcl(description));
    }
    inner.set("func_type", if function.web { "\"HTTP\"" } else { "\"Event\"" });
    inner.set("mem_size", &function.memory_mb.to_string());
    inner.set("timeout", &function.timeout_s.to_string());
    if let Some(role) = &function.role {
        inner.set("role", &hcl(role));
    }
    if let Some(vpc) = &function.vpc {
        inner.set("vpc_id", &hcl(&vpc.vpc_id));
        inner.set("subnet_id", &hcl(&vpc.subnet_id));
    }
    if let Some(net) = function.public_net {
        if net == PublicNet::Off && function.vpc.is_none() {
            inner.comment("the provider switches it off only where a vpc_id is set");
        }
        inner.set("enable_public_net", &(net != PublicNet::Off).to_string());
        inner.set("enable_eip_config", &(net == PublicNet::FixedIp).to_string());
    }
    if let Some(log) = &function.log {
        inner.set("cls_logset_id", &hcl(&log.logset_id));
        inner.set("cls_topic_id", &hcl(&log.topic_id));
    }
    let mut image = Block::new(2);
    image.set(
        "image_type",
        if function.registry_id.is_some() { "\"enterprise\"" } else { "\"personal\"" },
    );
    if let Some(id) = &function.registry_id {
        image.set("registry_id", &hcl(id));
    }
    image.set("image_uri", &hcl(&deployment.image_uri));
    image.set("image_port", &IMAGE_PORT.to_string());
    if let Some(command) = &function.command {
        image.set("command", &hcl(command));
    }
    if let Some(args) = &function.args {
        image.set("args", &hcl(&args.join(" ")));
    }
    image.comment(&format!("bench: {}", deployment.verdicts.acceleration));
    image.set("container_image_accelerate", &function.acceleration.to_string());
    let mut text = format!(
        "# For the provider tencentcloudstack/tencentcloud. It has no argument for the time that \
         a start may take.\nresource \"tencentcloud_scf_function\" \"function\" {{\n{}\n  \
         image_config {{\n{}  }}\n",
        inner.done(),
        image.done()
    );
    if !function.environment.is_empty() {
        let mut variables = Block::new(2);
        for (name, value) in &function.environment {
            variables.set(name, &hcl(value));
        }
        let _ = write!(text, "\n  environment = {{\n{}  }}\n", variables.done());
    }
    if let Some(concurrency) = function.concurrency {
        let mut block = Block::new(2);
        block.set("dynamic_enabled", "\"FALSE\"");
        block.set("max_concurrency", &concurrency.to_string());
        let _ = write!(text, "\n  instance_concurrency_config {{\n{}  }}\n", block.done());
    }
    text += "}\n";
    let reference = "tencentcloud_scf_function.function.name";
    for (at, trigger) in function.triggers.iter().enumerate() {
        let mut block = Block::new(1);
        block.set("function_name", reference);
        if let Some(namespace) = &function.namespace {
            block.set("namespace", &hcl(namespace));
        }
        block.set("trigger_name", &hcl(&trigger.name));
        block.set("type", &hcl(trigger.kind));
        block.set("qualifier", &hcl(&function.alias));
        block.set("enable", if trigger.enabled { "\"OPEN\"" } else { "\"CLOSE\"" });
        block.set("trigger_desc", &hcl(&trigger.text()));
        if !trigger.message.is_empty() {
            block.set("custom_argument", &hcl(&trigger.message));
        }
        let _ = write!(
            text,
            "\nresource \"tencentcloud_scf_trigger_config\" \"trigger_{}\" {{\n{}}}\n",
            at + 1,
            block.done()
        );
    }
    let _ = write!(text, "\n# bench: {}\n", deployment.verdicts.provisioned);
    if function.provisioned == 0 {
        return text + "# Provisioned concurrency is off (`provisioned` in function.toml).\n";
    }
    let mut version = Block::new(1);
    version.set("function_name", reference);
    let mut provisioned = Block::new(1);
    provisioned.set("function_name", reference);
    if let Some(namespace) = &function.namespace {
        version.set("namespace", &hcl(namespace));
        provisioned.set("namespace", &hcl(namespace));
    }
    version.set("description", &hcl(&deployment.image_uri));
    provisioned.set("qualifier", "tencentcloud_scf_function_version.version.function_version");
    provisioned.set("version_provisioned_concurrency_num", &function.provisioned.to_string());
    let _ = write!(
        text,
        "resource \"tencentcloud_scf_function_version\" \"version\" {{\n{}}}\n\nresource \
         \"tencentcloud_scf_provisioned_concurrency_config\" \"provisioned\" {{\n{}}}\n",
        version.done(),
        provisioned.done()
    );
    text
}

/// serverless.yml: the component `scf` of Serverless Framework's Tencent side.
pub fn serverless(deployment: &Deployment) -> String {
    let function = &deployment.function;
    let mut text = format!(
        "# For Serverless Framework's component scf. Its pages have no key for image acceleration \
         and none for provisioned\n# concurrency: both are switched with `just deploy` or \
         Terraform.\n# bench on acceleration: {}\n# bench on provisioned concurrency: \
         {}\ncomponent: scf\nname: {name}\ninputs:\n  name: {name}\n  region: {region}\n  type: \
         {kind}\n  memorySize: {memory}\n  timeout: {timeout}\n",
        deployment.verdicts.acceleration,
        deployment.verdicts.provisioned,
        name = quoted(&deployment.name),
        region = quoted(&function.region),
        kind = if function.web { "web" } else { "event" },
        memory = function.memory_mb,
        timeout = function.timeout_s,
    );
    if let Some(namespace) = &function.namespace {
        let _ = writeln!(text, "  namespace: {}", quoted(namespace));
    }
    let _ = match &function.registry_id {
        Some(id) => {
            write!(text, "  image:\n    imageType: enterprise\n    registryId: {}\n", quoted(id))
        }
        None => write!(text, "  image:\n    imageType: personal\n"),
    };
    let _ = writeln!(text, "    imageUrl: {}", quoted(&deployment.image_uri));
    if let Some(command) = &function.command {
        let _ = writeln!(text, "    command: {}", quoted(command));
    }
    if let Some(args) = &function.args {
        let _ = writeln!(text, "    args: {}", quoted(&args.join(" ")));
    }
    if let Some(net) = function.public_net {
        let (open, fixed) = (net != PublicNet::Off, net == PublicNet::FixedIp);
        let _ = write!(text, "  publicAccess: {open}\n  eip: {fixed}\n");
    }
    if let Some(vpc) = &function.vpc {
        let (vpc_id, subnet_id) = (quoted(&vpc.vpc_id), quoted(&vpc.subnet_id));
        let _ = write!(text, "  vpcConfig:\n    vpcId: {vpc_id}\n    subnetId: {subnet_id}\n");
    }
    if let Some(log) = &function.log {
        let (set, topic) = (quoted(&log.logset_id), quoted(&log.topic_id));
        let _ = write!(text, "  cls:\n    logsetId: {set}\n    topicId: {topic}\n");
    }
    if !function.environment.is_empty() {
        text += "  environment:\n    variables:\n";
        for (name, value) in &function.environment {
            let _ = writeln!(text, "      {name}: {}", quoted(value));
        }
    }
    let (urls, events): (Vec<&Trigger>, Vec<&Trigger>) =
        function.triggers.iter().partition(|trigger| trigger.kind == "http");
    if !urls.is_empty() {
        text += "  # The component has no function URL: `just deploy` makes it.\n";
    }
    if !events.is_empty() {
        text += "  events:\n";
        events.iter().for_each(|trigger| text += &event(trigger, &function.alias));
    }
    text
}

/// A trigger in the form of Serverless Framework's component.
fn event(trigger: &Trigger, alias: &str) -> String {
    let of = |name: &str| trigger.description.get(name).map(ToString::to_string);
    let mut lines = vec![("qualifier", quoted(alias)), ("enable", trigger.enabled.to_string())];
    match trigger.kind {
        "timer" => {
            lines.push(("name", quoted(&trigger.name)));
            lines.push(("cronExpression", quoted(&trigger.text())));
            if !trigger.message.is_empty() {
                lines.push(("argument", quoted(&trigger.message)));
            }
        }
        "cos" => {
            let filter = &trigger.description["filter"];
            lines.push(("bucket", quoted(&trigger.name)));
            lines.push(("events", of("event").unwrap_or_default()));
            // A flow mapping: JSON is YAML.
            lines.push((
                "filter",
                format!("{{\"prefix\": {}, \"suffix\": {}}}", filter["Prefix"], filter["Suffix"]),
            ));
        }
        _ => {
            // INSTANCE-TOPIC, and an instance is `ckafka-` and a word.
            let topic = trigger.name.match_indices('-').nth(1).map(|(at, _)| at);
            let (instance, topic) = trigger.name.split_at(topic.unwrap_or(trigger.name.len()));
            lines.push(("name", quoted(instance)));
            lines.push(("topic", quoted(topic.trim_start_matches('-'))));
            for name in ["maxMsgNum", "offset", "retry"] {
                lines.extend(of(name).map(|value| (name, value)));
            }
        }
    }
    let mut text = format!("    - {}:\n        parameters:\n", trigger.kind);
    if trigger.kind == "ckafka" {
        text += "          # It has no key for the longest wait, nor for a consumer group.\n";
    }
    for (name, value) in lines {
        let _ = writeln!(text, "          {name}: {value}");
    }
    text
}

/// knative.yaml: a Service of Knative Serving.
pub fn knative(deployment: &Deployment) -> String {
    let function = &deployment.function;
    let mut text = format!(
        "# For Knative Serving: `kubectl apply -f knative.yaml`. The cluster needs to be let \
             into the registry\n# (imagePullSecrets). It sets PORT to containerPort, which the \
             server honours there.\napiVersion: serving.knative.dev/v1\nkind: \
             Service\nmetadata:\n  name: {}\nspec:\n  template:\n    metadata:\n      \
             annotations:\n\x20       # bench on provisioned concurrency: {}\n\x20       \
             autoscaling.knative.dev/min-scale: \"{}\"\n\x20   spec:\n      containerConcurrency: \
             {}\n      timeoutSeconds: {}\n      containers:\n\x20       - image: {}\n          \
             ports:\n            - containerPort: {}\n\x20         resources:\n            \
             limits:\n              memory: {}Mi\n",
        quoted(&dns_label(&deployment.name)),
        deployment.verdicts.provisioned,
        function.provisioned,
        function.concurrency.unwrap_or(1),
        function.timeout_s,
        quoted(&deployment.image_uri),
        IMAGE_PORT,
        function.memory_mb,
    );
    if let Some(parts) = left_out(function) {
        let note = format!(
            "# {parts} of function.toml: resources of Tencent Cloud. A cluster has its own network \
             and log; events come by\n# Knative Eventing (PingSource, KafkaSource).\n"
        );
        text.insert_str(0, &note);
    }
    if let Some(command) = &function.command {
        let _ = write!(text, "          command:\n            - {}\n", quoted(command));
    }
    if let Some(args) = &function.args {
        text += "          args:\n";
        args.iter().for_each(|arg| text += &format!("            - {}\n", quoted(arg)));
    }
    if !function.environment.is_empty() {
        text += "          env:\n";
        for (name, value) in &function.environment {
            let _ = write!(
                text,
                "            - name: {}\n              value: {}\n",
                quoted(name),
                quoted(value)
            );
        }
    }
    text
}

/// s.yaml: Alibaba Cloud Function Compute 3.0 through Serverless Devs.
pub fn function_compute(deployment: &Deployment) -> String {
    let function = &deployment.function;
    let memory = function.memory_mb.max(128); // that cloud's minimum
    // A multiple of 0.05 vCPU, with 1 to 4 GiB of memory a vCPU.
    let twentieths = (memory as f64 / 1024.0 / 4.0 / 0.05).ceil().max(1.0);
    let mut text = format!(
        "# For Alibaba Cloud Function Compute 3.0 with Serverless Devs: `s deploy`. Region and \
         image are that cloud's own: push\n# the image to its registry first (`just push`), and \
         put that name here. Its pages show names with a tag; after\n# deploying, \
         resolvedImageUri has to end in\n#   {digest}\n# bench on acceleration, which is on by \
         default there: {on_acceleration}\n# bench on provisioned concurrency: \
         {verdict}\nedition: 3.0.0\nname: {name}\naccess: default\nresources:\n  function:\n    \
         component: fc3\n    props:\n\x20     region: cn-hangzhou\n\x20     functionName: \
         {name}\n\x20     handler: not-used\n\x20     runtime: custom-container\n\x20     cpu: \
         {cpu:.2}\n\x20     memorySize: {memory}\n\x20     diskSize: 512\n\x20     timeout: \
         {timeout}\n\x20     instanceConcurrency: {concurrency}\n\x20     \
         customContainerConfig:\n        image: \
         registry.cn-hangzhou.aliyuncs.com/namespace/function:v1\n        port: {port}\n\x20       \
         accelerationType: {acceleration}\n",
        on_acceleration = deployment.verdicts.acceleration,
        acceleration = if function.acceleration { "Default" } else { "None" },
        digest = deployment.digest,
        port = IMAGE_PORT,
        verdict = deployment.verdicts.provisioned,
        name = quoted(&deployment.name),
        cpu = twentieths * 0.05,
        timeout = function.timeout_s,
        concurrency = function.concurrency.unwrap_or(1),
    );
    if let Some(parts) = left_out(function) {
        let note = format!(
            "# {parts} of function.toml: resources of Tencent Cloud. Here they are vpcConfig, \
             logConfig and triggers, with this\n# cloud's own names.\n"
        );
        text.insert_str(0, &note);
    }
    let words = |words: &[String]| {
        let lines = words.iter().map(|word| format!("          - {}\n", quoted(word)));
        lines.collect::<String>()
    };
    if let Some(command) = &function.command {
        text += &format!("        entrypoint:\n{}", words(std::slice::from_ref(command)));
    }
    if let Some(args) = &function.args {
        text += &format!("        command:\n{}", words(args));
    }
    if function.public_net == Some(PublicNet::Off) {
        text += "      internetAccess: false\n";
    }
    if !function.environment.is_empty() {
        text += "      environmentVariables:\n";
        for (name, value) in &function.environment {
            let _ = writeln!(text, "        {name}: {}", quoted(value));
        }
    }
    if function.provisioned > 0 {
        let _ = write!(
            text,
            "      provisionConfig:\n        defaultTarget: {}\n",
            function.provisioned
        );
    }
    text
}

/// A name in the form that Kubernetes accepts: lower case, digits, dashes.
fn dns_label(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Arguments of a Terraform block, with their equals signs aligned as `terraform fmt` does.
struct Block {
    indent: usize,
    lines: Vec<Line>,
}

enum Line {
    Argument(String, String),
    Comment(String),
}

impl Block {
    fn new(indent: usize) -> Block {
        Block { indent, lines: Vec::new() }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.lines.push(Line::Argument(name.to_owned(), value.to_owned()));
    }

    fn comment(&mut self, text: &str) {
        self.lines.push(Line::Comment(text.to_owned()));
    }

    /// Equals signs are aligned from comment to comment.
    fn done(&self) -> String {
        let indent = "  ".repeat(self.indent);
        let mut text = String::new();
        for run in self.lines.chunk_by(|_, next| matches!(next, Line::Argument(..))) {
            let name =
                |line: &Line| if let Line::Argument(name, _) = line { name.len() } else { 0 };
            let width = run.iter().map(name).max().unwrap_or(0);
            for line in run {
                let _ = match line {
                    Line::Argument(name, value) => {
                        writeln!(text, "{indent}{name:width$} = {value}")
                    }
                    Line::Comment(comment) => writeln!(text, "{indent}# {comment}"),
                };
            }
        }
        text
    }
}
