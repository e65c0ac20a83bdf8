//! Kinds of function with which a project can start: each is a source file of the template with the
//! sample that it answers. It reads no folder.

/// A kind of function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name, as in `just new PATH --timer`.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// Whether the platform sends it requests (`web`) rather than events.
    pub web: bool,
    /// src/main.rs.
    pub(crate) main: &'static str,
    /// The sample in events/, if it gets events.
    pub(crate) sample: Option<&'static str>,
}

/// All kinds; the first is the default.
pub const KINDS: [Kind; 7] = [
    Kind {
        name: "event",
        about: "JSON events of your own",
        web: false,
        main: include_str!("../../../template/kinds/event.rs"),
        sample: Some(include_str!("../../../template/events/event.json")),
    },
    Kind {
        name: "web",
        about: "unchanged requests",
        web: true,
        main: include_str!("../../../template/kinds/web.rs"),
        sample: None,
    },
    Kind {
        name: "websocket",
        about: "WebSockets, and unchanged requests",
        web: true,
        main: include_str!("../../../template/kinds/websocket.rs"),
        sample: None,
    },
    Kind {
        name: "apigw",
        about: "events of API Gateway and function URLs, answered by a Web handler",
        web: false,
        main: include_str!("../../../template/kinds/apigw.rs"),
        sample: Some(include_str!("../../../template/events/apigw.json")),
    },
    Kind {
        name: "timer",
        about: "events of a timer",
        web: false,
        main: include_str!("../../../template/src/main.rs"),
        sample: Some(include_str!("../../../template/events/timer.json")),
    },
    Kind {
        name: "cos",
        about: "events of a COS bucket",
        web: false,
        main: include_str!("../../../template/kinds/cos.rs"),
        sample: Some(include_str!("../../../template/events/cos.json")),
    },
    Kind {
        name: "ckafka",
        about: "messages of a CKafka topic",
        web: false,
        main: include_str!("../../../template/kinds/ckafka.rs"),
        sample: Some(include_str!("../../../template/events/ckafka.json")),
    },
];

impl Kind {
    /// Whether it accepts WebSockets; the crate's features and function.toml then say so.
    pub(crate) fn is_websocket(&self) -> bool {
        self.name == "websocket"
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}
