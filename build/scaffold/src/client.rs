//! Clients of a new function (`--calls redis`): the files of examples/calls, and the code with
//! which a kind's handler calls them. It reads no folder.

use crate::kind::Kind;

/// A client that a new function can contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name on the command line, as in `just new PATH --timer --calls redis`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The variable with the server's address.
    pub variable: &'static str,
    /// An example of its value.
    example: &'static str,
    /// Its manifest in this repository.
    manifest: &'static str,
    /// Its modules, `client` first.
    modules: &'static [(&'static str, &'static str)],
    /// Whether its connection is started before the first request.
    begins_early: bool,
    /// Crates that are compiled for size.
    small: &'static [(&'static str, &'static str)],
}

const HTTP: (&str, &str) = ("http", include_str!("../../../examples/calls/https/src/http.rs"));
const LINK: (&str, &str) = ("link", include_str!("../../../examples/calls/https/src/link.rs"));
const TLS: &[(&str, &str)] = &[
    ("rustls", "z"),
    ("rustls-webpki", "z"),
    ("rustls-pki-types", "z"),
    ("untrusted", "z"),
    ("zeroize", "z"),
    ("ring", "s"),
];

/// All clients.
pub const CLIENTS: [Client; 5] = [
    Client {
        name: "redis",
        about: "Redis, by the crate redis",
        variable: "REDIS_URL",
        example: "redis://USER:PASSWORD@HOST:6379/0",
        manifest: include_str!("../../../examples/calls/redis/Cargo.toml"),
        modules: &[("client", include_str!("../../../examples/calls/redis/src/client.rs"))],
        begins_early: true,
        small: &[],
    },
    Client {
        name: "https",
        about: "an HTTPS server, by rustls and a short HTTP reader",
        variable: "UPSTREAM_URL",
        example: "https://HOST/PATH",
        manifest: include_str!("../../../examples/calls/https/Cargo.toml"),
        modules: &[
            ("client", include_str!("../../../examples/calls/https/src/client.rs")),
            HTTP,
            LINK,
        ],
        begins_early: true,
        small: TLS,
    },
    Client {
        name: "postgres",
        about: "PostgreSQL, by the crate tokio-postgres",
        variable: "POSTGRES_URL",
        example: "postgres://USER:PASSWORD@HOST:5432/DATABASE",
        manifest: include_str!("../../../examples/calls/postgres/Cargo.toml"),
        modules: &[("client", include_str!("../../../examples/calls/postgres/src/client.rs"))],
        begins_early: false,
        small: &[],
    },
    Client {
        name: "mysql",
        about: "MySQL or MariaDB, by the crate mysql_async",
        variable: "MYSQL_URL",
        example: "mysql://USER:PASSWORD@HOST:3306/DATABASE",
        manifest: include_str!("../../../examples/calls/mysql/Cargo.toml"),
        modules: &[("client", include_str!("../../../examples/calls/mysql/src/client.rs"))],
        begins_early: false,
        small: &[],
    },
    Client {
        name: "cos",
        about: "an object of COS, with the credentials of the function's role",
        variable: "COS_URL",
        example: "https://BUCKET-APPID.cos.REGION.myqcloud.com/KEY",
        manifest: include_str!("../../../examples/calls/cos/Cargo.toml"),
        modules: &[
            ("client", include_str!("../../../examples/calls/cos/src/client.rs")),
            HTTP,
            LINK,
            ("sign", include_str!("../../../examples/calls/cos/src/sign.rs")),
        ],
        begins_early: true,
        small: TLS,
    },
];

impl Client {
    /// The client of that name.
    pub fn named(name: &str) -> Option<&'static Client> {
        CLIENTS.iter().find(|client| client.name == name)
    }

    /// Its modules' files, as name and text.
    pub(crate) fn files(&self) -> impl Iterator<Item = (String, String)> {
        self.modules.iter().map(|(name, text)| (format!("src/{name}.rs"), (*text).to_owned()))
    }

    /// A kind's src/main.rs with a handler that calls the client. Its tests expect an error,
    /// because they have no server.
    pub(crate) fn main(&self, kind: &Kind) -> String {
        let (program, _) = split(kind.main, "#[cfg(test)]\nmod tests {");
        let mut text = program.to_owned();
        let (before, context) = if is_routed(kind) {
            text = woven(&text, "Json, Request}", "Json, Request, Result}");
            text = woven(&text, "-> Json<Answer> {", "-> Result<Json<Answer>> {");
            text = woven(&text, "    Json(Answer {", "    Ok(Json(Answer {");
            text = woven(&text, ") })\n}", ") }))\n}");
            ("(request: Request<'_>) -> Result<Json<Answer>> {\n", "request.context()")
        } else {
            ("(event: Event<'_>) -> Result<Json<Answer>> {\n", "event.context()")
        };
        let call = format!("{before}    let called = client::call({context})?;\n");
        text = woven(&text, before, &call);
        text = woven(&text, "Ok(Json(Answer {", "Ok(Json(Answer { called,");
        text = woven(&text, "struct Answer {\n", "struct Answer {\n    called: client::Answer,\n");
        if self.begins_early {
            text = woven(&text, "App::new()", "App::new().early(&client::EARLY)");
        } else {
            text = woven(&text, "firstbyte::main!(", "firstbyte::dns!();\nfirstbyte::main!(");
        }
        let modules: String =
            self.modules.iter().map(|(name, _)| format!("mod {name};\n")).collect();
        text = woven(&text, "no_main)]\n", &format!("no_main)]\n\n{modules}"));
        let call = match kind.sample {
            Some(_) if !is_routed(kind) => {
                format!("test::event(include_str!(\"../events/{}.json\"))", kind.name)
            }
            _ => "test::get(\"/hello/Ann\")".to_owned(),
        };
        let variable = self.variable;
        // The platform gets the reason of an event's failure; a Web client does not.
        let says = if is_routed(kind) {
            format!("assert!(!answer.text().contains(\"{variable}\"), \"{{}}\", answer.text());")
        } else {
            format!(
                "assert!(answer.text().contains(\"{variable} is not set\"), \"{{}}\", \
                 answer.text());"
            )
        };
        let name = if is_routed(kind) {
            "keeps_what_is_not_configured_to_the_log"
        } else {
            "names_what_is_not_configured"
        };
        format!(
            "{text}#[cfg(test)]\nmod tests {{\n    use super::*;\n    use firstbyte::test;\n\n    \
             #[test]\n    fn {name}() {{\n        let answer = \
             {call}.send(&app());\n        assert_eq!(answer.status().code(), 500);\n        \
             {says}\n    }}\n}}\n"
        )
    }

    /// tests/socket.rs: a function without its server answers with that error.
    pub(crate) fn socket(&self, kind: &Kind, text: &str) -> String {
        let says = if is_routed(kind) {
            "HTTP/1.1 500 ".to_owned()
        } else {
            format!("{} is not set", self.variable)
        };
        woven(
            text,
            "        assert!(reply.starts_with(\"HTTP/1.1 200 OK\\r\\n\"), \"{}: {reply}\", \
             event.display());\n",
            &format!(
                "        let is_done = reply.starts_with(\"HTTP/1.1 200 OK\\r\\n\");\n        let \
                 is_alone = reply.contains(\"{says}\");\n        assert!(is_done || \
                 is_alone, \"{{}}: {{reply}}\", event.display());\n"
            ),
        )
    }

    /// Cargo.toml with the client's dependencies, some of them compiled for size.
    pub(crate) fn manifest(&self, text: &str) -> String {
        let (_, dependencies) = split(self.manifest, "[dependencies]\n");
        let further = dependencies.lines().filter(|line| {
            !line.starts_with("firstbyte ") && !line.starts_with("serde ") && !line.is_empty()
        });
        let further: String = further.map(|line| format!("{line}\n")).collect();
        let (before, after) = split(text, "\n# A profile does not come with");
        let small: String = self
            .small
            .iter()
            .map(|(name, level)| {
                format!("\n[profile.release.package.{name}]\nopt-level = \"{level}\"\n")
            })
            .collect();
        format!("{before}{further}\n# A profile does not come with{after}{small}")
    }

    /// function.toml with the client's settings.
    pub(crate) fn function(&self, text: &str) -> String {
        let role = if self.name == "cos" {
            "# role = \"…\" above: one that may read the bucket\n"
        } else {
            ""
        };
        format!("{text}{role}# {} = \"{}\"\n", self.variable, self.example)
    }

    /// README.md with a section about the client.
    pub(crate) fn readme(&self, text: &str) -> String {
        let Client { variable, about, example, .. } = self;
        let roots = if self.small == TLS {
            let ca = if self.name == "cos" { "COS_CA" } else { "UPSTREAM_CA" };
            format!(
                "\nIt trusts Mozilla's authorities, which are compiled in (44 KiB). One of your \
                 own, or the one or two\nthat you need, is a PEM file: `just image \
                 --ca-bundle=FILE` puts it into the image at\n\
                 /etc/ssl/certs/ca-certificates.crt, and `{ca}` names it. Empty `default` under \
                 `[features]` in Cargo.toml\nthen, and the compiled list is left out.\n"
            )
        } else {
            String::new()
        };
        woven(
            text,
            "\n[firstbyte]: ",
            &format!(
                "\n## What it calls\n\nIt calls {about}: `{variable}` in `[environment]` of \
                 function.toml says where, for example `{example}`.\n{roots}\nLocal time needs \
                 `just image --tzdata ZONE`; without it every zone is UTC.\n\n[firstbyte]: "
            ),
        )
    }
}

/// Whether requests go to routes.
fn is_routed(kind: &Kind) -> bool {
    kind.web || kind.name == "apigw"
}

/// Replaces text that occurs exactly once: a change of the template needs a change of this file.
fn woven(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "the template has one `{from}`: {text}");
    text.replace(from, to)
}

fn split<'t>(text: &'t str, at: &str) -> (&'t str, &'t str) {
    text.split_once(at).unwrap_or_else(|| panic!("the template has `{at}`: {text}"))
}
