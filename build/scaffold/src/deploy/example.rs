//! Examples of the same deployment for other tools, as plain files to copy from. Nothing here runs
//! them, and each states what to check in it. Strings are quoted as JSON, which is valid YAML.

use crate::deploy::plan::Deployment;
use crate::deploy::request::IMAGE_PORT;
use std::fmt::Write as _;

/// Text in quotes, as JSON and YAML have it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text in quotes, as Terraform has it: `${` and `%{` would begin a template.
fn hcl(text: &str) -> String {
    quoted(text).replace("${", "$${").replace("%{", "%%{")
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
    let _ = write!(text, "\n# bench: {}\n", deployment.verdicts.provisioned);
    if function.provisioned == 0 {
        return text + "# Provisioned concurrency is off (`provisioned` in function.toml).\n";
    }
    let mut version = Block::new(1);
    let reference = "tencentcloud_scf_function.function.name";
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
    if !function.environment.is_empty() {
        text += "  environment:\n    variables:\n";
        for (name, value) in &function.environment {
            let _ = writeln!(text, "      {name}: {}", quoted(value));
        }
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
    let memory = function.memory_mb.max(128); // the least there is
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

/// A name as Kubernetes takes it: lower case, digits, dashes.
fn dns_label(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Arguments of a Terraform block, with their equals signs under each other as `terraform fmt` has
/// them.
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
