//! Tests of examples/calls: each function is called as the platform calls it, with the servers that
//! it calls: those of Debian, and for COS a stand-in that checks signatures. A fault of a server
//! must end in time, with an error that names it.

#[path = "calls/certificates.rs"]
mod certificates;
#[path = "calls/cos.rs"]
mod cos;
#[path = "calls/name_server.rs"]
mod name_server;
#[path = "calls/other_side.rs"]
mod other_side;
#[path = "../examples/calls/cos/src/sign.rs"]
mod sign;

use certificates::{Authority, Flaw};
use other_side::{Full, Mode, Relay, Silent};
use outside::eventually;
use outside::peer;
use outside::program;
use outside::reply::Reply;
use outside::server::Server;
use outside::service::{PASSWORD, PASSWORD_ENCODED, Service, free_address};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running function.
struct Function {
    server: Server,
    /// Its root folder, if it runs as in an image.
    _root: Option<TempDir>,
}

/// The time-out of each invocation, in seconds.
const TIMEOUT_S: u64 = 2;
/// Additional time for busy machines.
const SLACK: Duration = Duration::from_secs(3);
/// A call without any wait takes less; a failed look-up takes 5 s with musl's own resolver.
const AT_ONCE: Duration = Duration::from_secs(1);

impl Function {
    fn start(name: &str, environment: &[(&str, &str)]) -> Function {
        let mut command = Command::new(program::call(name));
        command.envs(environment.iter().copied());
        Function { server: Server::start(command), _root: None }
    }

    /// Starts it as in an image from scratch: its root folder has only the program and these files.
    /// /etc/hosts and /etc/resolv.conf exist only if they are among them.
    fn start_in_scratch(
        name: &str,
        files: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Function {
        let (root, mut command) = program::in_scratch(program::call(name), files);
        command.envs(environment.iter().copied());
        Function { server: Server::start(command), _root: Some(root) }
    }

    /// Makes an invocation with a role's credentials.
    fn invoke(&self, event: &str) -> Reply {
        let role = cos::ROLE;
        let request = format!(
            "POST /event-invoke HTTP/1.1\r\nHost: h\r\nX-Scf-Request-Id: r-1\r\nX-Scf-Timeout: \
             {TIMEOUT_S}\r\nX-Scf-Secret-Id: {}\r\nX-Scf-Secret-Key: {}\r\nX-Scf-Session-Token: \
             {}\r\nContent-Length: {}\r\n\r\n{event}",
            role.id,
            role.key,
            role.token,
            event.len()
        );
        peer::ask(self.server.address, request)
    }

    #[track_caller]
    fn assert_answers(&self, event: &str, body: &str) {
        let reply = self.invoke(event);
        assert_eq!((reply.status, reply.text()), (200, body));
    }

    /// Checks that it fails with one of these words, in time, and without a secret; returns the
    /// time.
    #[track_caller]
    fn assert_fails(&self, what: &str, words: &[&str]) -> Duration {
        let begun = Instant::now();
        let reply = self.invoke("{}");
        let took = begun.elapsed();
        reply.assert_is_error(500);
        let message = reply.json()["errorMessage"].as_str().unwrap_or_default().to_owned();
        println!("{what}: {message} ({took:?})");
        assert!(words.iter().any(|word| message.contains(word)), "{what}: {message}");
        assert!(took < Duration::from_secs(TIMEOUT_S) + SLACK, "{what}: {took:?}");
        for secret in [PASSWORD, PASSWORD_ENCODED, cos::ROLE.key, cos::ROLE.token] {
            assert!(!message.contains(secret), "{what}: {message}");
        }
        took
    }

    /// Stops the process until `is_over` returns true because the server has ended its session,
    /// then continues it.
    fn stop_until(&self, is_over: impl FnMut() -> bool) {
        self.server.signal(Signal::STOP);
        eventually("the server ends an idle session", is_over);
        self.server.signal(Signal::CONT);
    }
}

/// Whether a relay's connections have ended, for a server whose sessions cannot be listed.
fn is_closed_by(relay: &Relay) -> impl FnMut() -> bool {
    let ended = relay.ended();
    move || relay.ended() > ended
}

const LATE: &[&str] = &["in time", "timed out", "timeout", "does not answer"];
const CUT: &[&str] =
    &["cut", "closed", "eof", "EOF", "unexpected end", "early", "disconnected", "bytes remaining"];

/// Tests the failures below any protocol. `environment` is that of a function whose server is at
/// `address`; `server` is a real one.
fn assert_failures_are_named(
    name: &str,
    server: SocketAddr,
    environment: impl Fn(SocketAddr) -> Vec<(&'static str, String)>,
) {
    let start = |address| {
        let environment = environment(address);
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Function::start(name, &environment)
    };
    start(free_address()).assert_fails("refused", &["refused"]);
    let silent = Silent::listen();
    start(silent.address).assert_fails("silent", LATE);
    let full = Full::listen();
    start(full.address).assert_fails("unreachable", LATE);
    let relay = Relay::to(server, Mode::Drip);
    start(relay.address).assert_fails("slow", LATE);
    let relay = Relay::to(server, Mode::CutAfter(7));
    start(relay.address).assert_fails("cut", CUT);
    assert_eq!(relay.begun(), 1, "{name}: a connection that failed is not tried again");
    let relay = Relay::to(server, Mode::Pass);
    let function = start(relay.address);
    let reply = function.invoke("{}");
    assert_eq!(reply.status, 200, "otherwise it works: {}", reply.text());
    relay.set(Mode::Drip);
    function.assert_fails("slow later", LATE);
    relay.set(Mode::Pass);
    let reply = function.invoke("{}");
    assert_eq!(reply.status, 200, "it works again: {name}: {}", reply.text());
}

#[test]
fn redis_answers_and_may_end_sessions() {
    let Some(redis) = Service::redis(&["--timeout", "2"]) else { return };
    let url = format!("redis://{}", redis.address);
    let function = Function::start("call-redis", &[("REDIS_URL", &url)]);
    function.assert_answers("{}", r#"{"value":null}"#);
    assert!(redis.redis_command("SET greeting hello").starts_with("+OK"));
    function.assert_answers("{}", r#"{"value":"hello"}"#);
    assert!(redis.redis_command("INFO stats").contains("total_connections_received:"));
    for expected in ["1", "2"] {
        let killed = redis.redis_command("CLIENT KILL TYPE normal SKIPME yes");
        assert!(killed.starts_with(":1"), "{killed}");
        function.assert_answers(r#"{"increment":"visits"}"#, &format!(r#"{{"value":{expected}}}"#));
    }
    redis.redis_command("CLIENT KILL TYPE normal SKIPME yes");
    function.assert_answers("{}", r#"{"value":"hello"}"#);
    function.stop_until(|| !redis.redis_command("CLIENT LIST").contains("cmd=get"));
    function.assert_answers("{}", r#"{"value":"hello"}"#);
    redis.redis_command("SET greeting \"\"");
    redis.redis_command("DEL greeting");
    redis.redis_command("LPUSH greeting x");
    let reply = function.invoke("{}");
    reply.assert_is_error(500);
    assert!(reply.text().contains("WRONGTYPE"), "{}", reply.text());
}

#[test]
fn a_command_that_is_not_idempotent_is_never_sent_twice() {
    let Some(redis) = Service::redis(&[]) else { return };
    let relay = Relay::to(redis.address, Mode::Pass);
    let url = format!("redis://{}", relay.address);
    let function = Function::start("call-redis", &[("REDIS_URL", &url)]);
    function.assert_answers(r#"{"increment":"visits"}"#, r#"{"value":1}"#);
    redis.redis_command("SET greeting hello");
    // Its request arrives, its reply does not: the client cannot know whether it was run.
    relay.set(Mode::CutOnce);
    let reply = function.invoke(r#"{"increment":"visits"}"#);
    reply.assert_is_error(500);
    assert_eq!(redis.redis_command("GET visits"), "$1\r\n2\r\n");
    // An idempotent command is sent twice.
    function.assert_answers("{}", r#"{"value":"hello"}"#);
    relay.set(Mode::CutOnce);
    function.assert_answers("{}", r#"{"value":"hello"}"#);
}

#[test]
fn redis_logs_in_and_chooses_its_database() {
    let Some(redis) = Service::redis(&["--requirepass", PASSWORD]) else { return };
    let at = |password: &str, path: &str| format!("redis://:{password}@{}{path}", redis.address);
    let function = Function::start("call-redis", &[("REDIS_URL", &at(PASSWORD_ENCODED, "/3"))]);
    function.assert_answers(r#"{"increment":"n"}"#, r#"{"value":1}"#);
    let function = Function::start("call-redis", &[("REDIS_URL", &at(PASSWORD_ENCODED, ""))]);
    function.assert_answers(r#"{"increment":"n"}"#, r#"{"value":1}"#);
    Function::start("call-redis", &[("REDIS_URL", &at("wrong", ""))])
        .assert_fails("wrong password", &["WRONGPASS"]);
    Function::start("call-redis", &[("REDIS_URL", &format!("redis://{}", redis.address))])
        .assert_fails("no password", &["NOAUTH"]);
}

#[test]
fn redis_fails_in_time() {
    let Some(redis) = Service::redis(&["--requirepass", PASSWORD]) else { return };
    assert_failures_are_named("call-redis", redis.address, |address| {
        vec![("REDIS_URL", format!("redis://:{PASSWORD_ENCODED}@{address}"))]
    });
}

#[test]
fn missing_settings_and_unsupported_protocols_are_named() {
    for (name, variable, wrong, words) in [
        ("call-redis", "REDIS_URL", "rediss://127.0.0.1", "TLS"),
        ("call-redis", "REDIS_URL", "http://127.0.0.1", "REDIS_URL"),
        ("call-https", "UPSTREAM_URL", "ftp://127.0.0.1", "UPSTREAM_URL"),
        ("call-https", "UPSTREAM_URL", "https://a b/", "percent-encoded"),
        ("call-https", "UPSTREAM_URL", "https://u:p@127.0.0.1/", "user"),
        ("call-ureq", "UPSTREAM_URL", "nonsense", ""),
        ("call-tokio", "UPSTREAM_URL", "nonsense", ""),
        ("call-postgres", "POSTGRES_URL", "postgres://u:pass%2Fword%401@h:x/", "POSTGRES_URL"),
        ("call-mysql", "MYSQL_URL", "mysql://u:pass%2Fword%401@h:x/", "MYSQL_URL"),
        ("call-cos", "COS_URL", "cos://bucket", "COS_URL"),
    ] {
        Function::start(name, &[]).assert_fails(name, &[&format!("{variable} is not set")]);
        Function::start(name, &[(variable, wrong)]).assert_fails(name, &[words]);
    }
    let function = Function::start(
        "call-https",
        &[("UPSTREAM_URL", "https://127.0.0.1:1/"), ("UPSTREAM_CA", "/nowhere.pem")],
    );
    function.assert_fails("no such file", &["UPSTREAM_CA, `/nowhere.pem`"]);
}

/// nginx with a page of 20,000 bytes, sessions that end after two idle seconds, and a certificate
/// with `flaw`; also returns the file of the authority that signed it.
fn nginx(flaw: Flaw) -> Option<(Service, String)> {
    let authority = Authority::new();
    let (certificate, key) = authority.sign(flaw);
    let service = Service::nginx(
        "listen 127.0.0.1:PORT ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate \
         FOLDER/certificate.pem; ssl_certificate_key FOLDER/key.pem; keepalive_timeout 2s;",
        &[
            ("certificate.pem", certificate.as_bytes()),
            ("key.pem", key.as_bytes()),
            ("ca.pem", authority.pem().as_bytes()),
            ("page", &[b'x'; 20_000]),
        ],
    )?;
    let ca = service.folder().join("ca.pem").display().to_string();
    Some((service, ca))
}

const OVER_TLS: [&str; 3] = ["call-https", "call-ureq", "call-tokio"];

#[test]
fn an_https_server_answers_and_may_end_sessions() {
    let Some((nginx, ca)) = nginx(Flaw::None) else { return };
    for name in OVER_TLS {
        let relay = Relay::to(nginx.address, Mode::Pass);
        let url = format!("https://{}/page", relay.address);
        let environment = [("UPSTREAM_URL", url.as_str()), ("UPSTREAM_CA", &ca)];
        let function = Function::start(name, &environment);
        for _ in 0..3 {
            function.assert_answers("{}", r#"{"status":200,"bytes":20000}"#);
        }
        assert_eq!(relay.begun(), 1, "{name} keeps its connection");
        function.stop_until(is_closed_by(&relay));
        function.assert_answers("{}", r#"{"status":200,"bytes":20000}"#);
        assert_eq!(relay.begun(), 2, "{name}");
        // Its request arrives, its reply does not: an idempotent request is sent again, once.
        relay.set(Mode::CutOnce);
        function.assert_answers("{}", r#"{"status":200,"bytes":20000}"#);
        assert_eq!(relay.begun(), 3, "{name}");
        let url = format!("https://localhost:{}/nothing", relay.address.port());
        let function = Function::start(name, &[("UPSTREAM_URL", &url), ("UPSTREAM_CA", &ca)]);
        let reply = function.invoke("{}");
        assert_eq!((reply.status, &reply.json()["status"]), (200, &404.into()), "{name}");
    }
}

#[test]
fn https_fails_in_time() {
    let Some((nginx, ca)) = nginx(Flaw::None) else { return };
    std::thread::scope(|scope| {
        for name in OVER_TLS {
            let (nginx, ca) = (nginx.address, &ca);
            scope.spawn(move || {
                assert_failures_are_named(name, nginx, |address| {
                    let url = format!("https://{address}/page");
                    vec![("UPSTREAM_URL", url), ("UPSTREAM_CA", ca.clone())]
                });
            });
        }
    });
}

#[test]
fn wrong_certificates_are_refused_by_name() {
    let flaws = [
        (Flaw::Name, ["not valid for name", "NotValidForName"]),
        (Flaw::Expired, ["expired", "Expired"]),
        (Flaw::Authority, ["UnknownIssuer", "unknown issuer"]),
    ];
    for (flaw, words) in flaws {
        let Some((nginx, ca)) = nginx(flaw) else { return };
        for name in OVER_TLS {
            let url = format!("https://{}/page", nginx.address);
            let environment = [("UPSTREAM_URL", url.as_str()), ("UPSTREAM_CA", &ca)];
            Function::start(name, &environment).assert_fails(name, &words);
        }
        let url = format!("https://{}/page", nginx.address);
        let environment = [("COS_URL", url.as_str()), ("COS_CA", &ca)];
        Function::start("call-cos", &environment).assert_fails("call-cos", &words);
    }
    // Without its own list a function trusts only the public one.
    let Some((nginx, _)) = nginx(Flaw::None) else { return };
    for name in OVER_TLS {
        let url = format!("https://{}/page", nginx.address);
        Function::start(name, &[("UPSTREAM_URL", &url)]).assert_fails(name, &["UnknownIssuer"]);
    }
}

/// Built without the public list, it trusts the named file, and requires one.
#[test]
fn a_file_of_authorities_is_sufficient() {
    let Some((nginx, ca)) = nginx(Flaw::None) else { return };
    let url = format!("https://{}/page", nginx.address);
    let function = Function::start("call-https-lean", &[("UPSTREAM_URL", &url)]);
    function.assert_fails("no list and no file", &["UPSTREAM_CA is not set"]);
    let environment = [("UPSTREAM_URL", url.as_str()), ("UPSTREAM_CA", &ca)];
    let function = Function::start("call-https-lean", &environment);
    function.assert_answers("{}", r#"{"status":200,"bytes":20000}"#);
}

#[test]
fn postgres_answers_and_may_end_sessions() {
    let options = ["-c", "idle_session_timeout=2s"];
    let Some(postgres) = Service::postgres(&options) else { return };
    let url = format!("postgres://postgres:{PASSWORD_ENCODED}@{}/postgres", postgres.address);
    let function = Function::start("call-postgres", &[("POSTGRES_URL", &url)]);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
                    AND pid <> pg_backend_pid()";
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = \
                'client backend' AND pid <> pg_backend_pid()";
    for _ in 0..2 {
        function.assert_answers("{}", r#"{"value":1}"#);
    }
    assert_eq!(postgres.psql(sessions).as_deref(), Some("1"), "it keeps its connection");
    assert_eq!(postgres.psql(kill).as_deref(), Some("t"));
    function.assert_answers("{}", r#"{"value":1}"#);
    function.stop_until(|| postgres.psql(sessions).as_deref() == Some("0"));
    function.assert_answers("{}", r#"{"value":1}"#);
    let url = format!("postgres://postgres:wrong@{}/postgres", postgres.address);
    Function::start("call-postgres", &[("POSTGRES_URL", &url)])
        .assert_fails("wrong password", &["password authentication failed"]);
    let url = format!("postgres://postgres@{}/postgres?sslmode=require", postgres.address);
    Function::start("call-postgres", &[("POSTGRES_URL", &url)]).assert_fails("TLS", &["TLS"]);
    assert_failures_are_named("call-postgres", postgres.address, |address| {
        let url = format!("postgres://postgres:{PASSWORD_ENCODED}@{address}/postgres");
        vec![("POSTGRES_URL", url)]
    });
}

#[test]
fn mysql_answers_and_may_end_sessions() {
    let Some(mariadb) = Service::mariadb(&["--wait-timeout=2"]) else { return };
    let url = format!("mysql://caller:{PASSWORD_ENCODED}@{}/", mariadb.address);
    let function = Function::start("call-mysql", &[("MYSQL_URL", &url)]);
    let sessions = "SELECT id FROM information_schema.processlist WHERE user = 'caller' AND id <> \
                    connection_id()";
    for _ in 0..2 {
        function.assert_answers("{}", r#"{"value":1}"#);
    }
    let id = mariadb.mariadb_client(sessions).expect("it lists them");
    assert!(id.parse::<u64>().is_ok(), "it keeps its connection: `{id}`");
    mariadb.mariadb_client(&format!("KILL {id}")).expect("it is there");
    function.assert_answers("{}", r#"{"value":1}"#);
    function.stop_until(|| mariadb.mariadb_client(sessions).as_deref() == Some(""));
    function.assert_answers("{}", r#"{"value":1}"#);
    let url = format!("mysql://caller:wrong@{}/", mariadb.address);
    Function::start("call-mysql", &[("MYSQL_URL", &url)])
        .assert_fails("wrong password", &["Access denied"]);
    assert_failures_are_named("call-mysql", mariadb.address, |address| {
        vec![("MYSQL_URL", format!("mysql://caller:{PASSWORD_ENCODED}@{address}/"))]
    });
}

/// A function, the variable that names its server, the variable's value for a host and port, and
/// the expected answer.
struct Caller {
    name: &'static str,
    variable: &'static str,
    url: fn(&str) -> String,
    port: u16,
    answer: &'static str,
}

/// All seven, with their servers; those without an installed server are left out.
fn callers() -> (Vec<Caller>, String, [Option<Service>; 4]) {
    let redis = Service::redis(&[]);
    let upstream = nginx(Flaw::None);
    let (nginx, ca) = upstream.map_or((None, String::new()), |(nginx, ca)| (Some(nginx), ca));
    let ca = fs::read_to_string(&ca).unwrap_or_default();
    let postgres = Service::postgres(&[]);
    let mariadb = Service::mariadb(&[]);
    let mut callers = Vec::new();
    let mut add = |name, variable, url, service: &Option<Service>, answer| {
        if let Some(service) = service {
            let port = service.address.port();
            callers.push(Caller { name, variable, url, port, answer });
        }
    };
    add("call-redis", "REDIS_URL", |at| format!("redis://{at}"), &redis, r#"{"value":null}"#);
    for name in OVER_TLS {
        let url = |at: &str| format!("https://{at}/page");
        add(name, "UPSTREAM_URL", url, &nginx, r#"{"status":200,"bytes":20000}"#);
    }
    let url = |at: &str| format!("postgres://postgres:{PASSWORD_ENCODED}@{at}/postgres");
    add("call-postgres", "POSTGRES_URL", url, &postgres, r#"{"value":1}"#);
    let url = |at: &str| format!("mysql://caller:{PASSWORD_ENCODED}@{at}/");
    add("call-mysql", "MYSQL_URL", url, &mariadb, r#"{"value":1}"#);
    callers.push(Caller {
        name: "call-cos",
        variable: "COS_URL",
        url: |at| format!("http://{at}/exampleobject"),
        port: cos::StandIn::start().address.port(),
        answer: r#"{"bytes":13}"#,
    });
    (callers, ca, [redis, nginx, postgres, mariadb])
}

/// musl's own resolver fails after 5 s in each of these three cases.
#[test]
fn names_are_found_in_an_image_from_scratch() {
    let (callers, ca, _services) = callers();
    let resolv_conf = name_server::start();
    for Caller { name, variable, url, port, answer } in callers {
        let started = |host: &str, files: &[(&str, &str)]| {
            let url = url(&format!("{host}:{port}"));
            let files: Vec<_> = files.iter().copied().chain([("ca.pem", ca.as_str())]).collect();
            let environment = [(variable, url.as_str()), ("UPSTREAM_CA", "/etc/ca.pem")];
            Function::start_in_scratch(name, &files, &environment)
        };
        let what = format!("{name}, no resolv.conf");
        let took = started("upstream.test", &[]).assert_fails(&what, &["/etc/resolv.conf"]);
        assert!(took < AT_ONCE, "{what}: {took:?}");
        for (host, files) in
            [("localhost", &[][..]), ("upstream.test", &[("resolv.conf", resolv_conf.as_str())])]
        {
            let function = started(host, files);
            let begun = Instant::now();
            function.assert_answers("{}", answer);
            println!("{name}, {host}: {:?}", begun.elapsed());
            assert!(begun.elapsed() < AT_ONCE, "{name}, {host}: {:?}", begun.elapsed());
        }
    }
}

#[test]
fn cos_gets_signed_requests() {
    let cos = cos::StandIn::start();
    let url =
        cos.url("/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)?response-content-type=a%2Fb&acl");
    let function = Function::start("call-cos", &[("COS_URL", &url)]);
    for _ in 0..2 {
        function.assert_answers("{}", r#"{"bytes":13}"#);
    }
    assert_eq!(cos.connections(), 1, "it keeps its connection");
    cos.end_sessions();
    function.assert_answers("{}", r#"{"bytes":13}"#);
    let function = Function::start("call-cos", &[("COS_URL", &cos.url("/missing"))]);
    function.assert_fails("no such object", &["404 NoSuchKey"]);
    let function = Function::start("call-cos", &[("COS_URL", &cos.url("/tampered"))]);
    function.assert_fails("another signature", &["403 SignatureDoesNotMatch"]);
    let reply = peer::ask(function.server.address, peer::invoke("{}"));
    reply.assert_is_error(500);
    assert!(reply.text().contains("bind a role"), "{}", reply.text());
    assert_failures_are_named("call-cos", cos.address, |address| {
        vec![("COS_URL", format!("http://{address}/exampleobject"))]
    });
}

/// "Request Signature", cloud.tencent.com/document/product/436/7778: both examples.
#[test]
fn signatures_equal_the_documented_examples() {
    let role = ("AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q", "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz");
    let host = ("host", "examplebucket-1250000000.cos.ap-beijing.myqcloud.com");
    let path = "/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)";
    let upload = sign::authorization(
        role,
        "1557989151;1557996351",
        "put",
        path,
        &[
            ("content-length", "13"),
            ("content-md5", "mQ/fVh815F3k6TAUm8m0eg=="),
            ("content-type", "text/plain"),
            ("date", "Thu, 16 May 2019 06:45:51 GMT"),
            host,
            ("x-cos-acl", "private"),
            ("x-cos-grant-read", "uin=\"100000000011\""),
        ],
    );
    assert!(upload.ends_with("&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172"), "{upload}");
    let target = format!(
        "{path}?response-content-type=application%2Foctet-stream&response-cache-control=\
         max-age%3D600"
    );
    let date = ("date", "Thu, 16 May 2019 06:55:53 GMT");
    let download =
        sign::authorization(role, "1557989753;1557996953", "get", &target, &[date, host]);
    assert_eq!(
        download,
        "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q&q-sign-time=1557989753;\
         1557996953&q-key-time=1557989753;1557996953&q-header-list=date;host&q-url-param-list=\
         response-cache-control;response-content-type&q-signature=\
         01681b8c9d798a678e43b685a9f1bba0f6c0e012"
    );
}
