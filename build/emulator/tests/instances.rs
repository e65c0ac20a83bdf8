//! Tests of instances (when one is started, its environment, when it is ended), and of the queue of
//! asynchronous invocations.

mod common;

use common::{PATIENCE, Stage, config, event, get, text};
use emulator::config::{Config, Mode};
use emulator::verdict::InvocationVerdict;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_first_request_is_cold_and_the_second_warm() {
    let stage = Stage::new(config(), true);
    let first = stage.tell("count");
    let cold = first.cold.expect("the first starts an instance");
    assert!(cold.pull > Duration::ZERO && cold.runtime > Duration::ZERO, "{cold:?}");
    let second = stage.tell("count");
    assert!(second.cold.is_none());
    assert_eq!((text(&first), text(&second)), ("1".into(), "2".into()));
    assert!(second.ran.memory_bytes > 0);
    let lines = stage.log.wait("Duration:", 2);
    let printed = stage.log.wait("moody starts", 1);
    assert_eq!(printed, ["moody starts"], "what the function prints is in the log");
    let (a, b) = (&first.request_id, &second.request_id);
    assert!(lines[0].starts_with(&format!("Report RequestId:{a} Duration:")), "{lines:?}");
    let shape: Vec<String> = stage
        .log
        .all()
        .iter()
        .filter(|line| *line != "moody starts")
        .map(|line| line.split(['(', '"']).next().unwrap().replace(a, "a").replace(b, "b"))
        .map(|line| {
            line.split(" Duration:").next().unwrap().split(" Coldstart:").next().unwrap().to_owned()
        })
        .collect();
    let expected = [
        "START RequestId:a",
        "Init Report RequestId: a",
        "Response RequestId:a RetMsg:",
        "END RequestId:a",
        "Report RequestId:a",
        "START RequestId:b",
        "Response RequestId:b RetMsg:",
        "END RequestId:b",
        "Report RequestId:b",
    ];
    assert_eq!(shape, expected);
}

/// Regression: a process that was forked beside the copying of a program, and had not called exec
/// yet, made its first start fail with "Text file busy".
#[test]
fn a_program_that_is_still_open_for_writing_starts_once_it_is_closed() {
    for sandbox in [true, false] {
        let stage = Stage::new(config(), sandbox);
        let app = stage.platform.pool().program().rootfs.join("app");
        let open = fs::OpenOptions::new().write(true).open(app).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(50)); // the first try has no signal
                drop(open);
            });
            assert_eq!(stage.ask("count"), "1", "sandbox: {sandbox}");
        });
    }
}

/// Regression: a plain process that had not listened yet when everything was closed outlived the
/// program that had started it, and Ctrl-C waited for the whole initialization timeout.
#[test]
fn an_instance_that_is_still_starting_ends_when_everything_is_closed() {
    for sandbox in [true, false] {
        let environment = vec![("MOODY".to_owned(), "silent".to_owned())];
        let init_timeout = 3 * PATIENCE;
        let stage = Stage::new(Config { environment, init_timeout, ..config() }, sandbox);
        thread::scope(|scope| {
            let told = scope.spawn(|| stage.tell("version"));
            stage.log.wait("moody starts", 1);
            let closing = Instant::now();
            stage.platform.close();
            let verdict = told.join().unwrap().verdict;
            assert!(matches!(verdict, InvocationVerdict::ContainerInitError(_)), "{verdict:?}");
            assert!(closing.elapsed() < PATIENCE, "{:?}", closing.elapsed());
        });
    }
}

#[test]
fn connections_that_the_function_closes_are_replaced() {
    let stage = Stage::new(config(), true);
    for order in
        ["close", "close", "drop", "version", "drop", "close", "hang-up", "close", "version"]
    {
        let status = stage.tell(order).verdict.status();
        assert_eq!(status, if order == "hang-up" { 443 } else { 200 }, "{order}");
    }
    // Regression: if a connection closed just when the next request was sent, the answer was 443.
    // Under load that happened to one request in some hundred.
    for nth in 0..400 {
        assert_eq!(stage.tell("drop").verdict.status(), 200, "{nth}");
    }
    assert_eq!(
        stage.ask("count"),
        (9 + 400 + 1).to_string(),
        "no request was sent twice, and none was lost"
    );
    assert_eq!(stage.log.wait("Init Report", 1).len(), 1, "one instance answered all of them");
}

#[test]
fn an_instances_environment_is_the_documented_one() {
    let environment = vec![("GREETING".to_owned(), "hello".to_owned())];
    let stage = Stage::new(Config { environment, role: true, ..config() }, true);
    let env = stage.ask("env");
    for line in [
        "TENCENTCLOUD_RUNENV=SCF",
        "USER_CODE_ROOT=/var/user/",
        "USER=qcloud",
        "SCF_FUNCTIONNAME=function",
        "SCF_FUNCTIONVERSION=$LATEST",
        "TENCENTCLOUD_REGION=ap-guangzhou",
        "TENCENTCLOUD_APPID=1250000000",
        "TENCENTCLOUD_UIN=100000000000",
        "GREETING=hello",
    ] {
        assert!(env.lines().any(|have| have == line), "no `{line}` in {env}");
    }
    assert!(!env.contains("CARGO"), "the instance inherits this machine's environment: {env}");
    let request = stage.ask("request");
    assert!(request.starts_with("POST /event-invoke HTTP/1.1\r\n"), "{request}");
    for line in [
        "X-Scf-Memory: 64",
        "X-Scf-Timeout: 3",
        "X-Scf-Secret-Key: EXAMPLE-KEY",
        "X-Scf-Name: function",
    ] {
        assert!(request.lines().any(|have| have == line), "no `{line}` in {request}");
    }
    assert!(!request.contains("X-Scf-Trigger-Src"), "{request}");
    let mut timer = event("request");
    timer.body = b"{\"Type\":\"Timer\",\"do\":\"request\"}".to_vec();
    assert!(text(&stage.platform.invoke(timer)).contains("\r\nX-Scf-Trigger-Src: Timer\r\n"));
    if stage.has_walls() {
        assert_eq!(stage.ask("write /tmp/x"), "written");
        assert!(stage.ask("write /x").contains("Read-only file system"));
    }
}

#[test]
fn a_web_function_gets_the_unchanged_request_with_the_platforms_fields() {
    let stage = Stage::new(Config { mode: Mode::Web, ..config() }, true);
    let mut request = get("/request?a=b");
    request.method = "PUT".into();
    request.body = b"body".to_vec();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    request.headers = vec![
        field("Accept", "x/y"),
        field("x-scf-secret-key", "forged"),
        field("Connection", "close"),
    ];
    let got = text(&stage.platform.invoke(request));
    assert!(
        got.starts_with("PUT /request?a=b HTTP/1.1\r\n") && got.ends_with("\r\n\r\nbody"),
        "{got}"
    );
    assert!(got.contains("Accept: x/y\r\n") && got.contains("X-Scf-Request-Id: "), "{got}");
    assert!(!got.contains("forged") && !got.to_ascii_lowercase().contains("connection:"), "{got}");
}

#[test]
fn each_concurrent_request_has_its_own_instance_up_to_the_maximum() {
    // Long enough that both still sleep when the third arrives, even if a start takes a second.
    let stage = Stage::new(Config { max_instances: 2, timeout: PATIENCE, ..config() }, true);
    std::thread::scope(|scope| {
        let busy: Vec<_> = (0..2).map(|_| scope.spawn(|| stage.tell("sleep 5000"))).collect();
        stage.log.wait("Init Report", 2);
        assert_eq!(stage.tell("version").verdict, InvocationVerdict::ResourceLimitReached);
        assert!(
            busy.into_iter().all(|one| one.join().unwrap().verdict == InvocationVerdict::Success)
        );
    });
    assert_eq!(stage.platform.pool().instances(), 2);
    assert!(stage.tell("version").cold.is_none());
}

#[test]
fn one_instance_takes_as_many_requests_as_it_is_configured_for() {
    let stage = Stage::new(Config { mode: Mode::Web, concurrency: 70, ..config() }, true);
    assert_eq!(stage.platform.invoke(get("/version")).verdict, InvocationVerdict::Success);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..70)
            .map(|_| scope.spawn(|| stage.platform.invoke(get("/sleep/300")).verdict))
            .collect();
        assert!(all.into_iter().all(|one| one.join().unwrap() == InvocationVerdict::Success));
    });
    assert_eq!(stage.platform.pool().instances(), 1);
    assert_eq!(text(&stage.platform.invoke(get("/count"))), "72");
}

#[test]
fn an_idle_instance_is_ended_and_the_next_request_is_cold() {
    for sandbox in [true, false] {
        let stage = Stage::new(Config { idle: Duration::from_millis(200), ..config() }, sandbox);
        stage.ask("version");
        let pid = stage.platform.pool().pids()[0];
        assert!(stage.platform.pool().wait_instances(0, PATIENCE));
        stage.notes.wait("idle for 0.2 s", 1);
        assert!(stage.tell("version").cold.is_some());
        assert_ne!(stage.platform.pool().pids(), [pid]);
    }
}

#[test]
fn provisioned_instances_start_before_the_first_request_and_are_kept() {
    let stage =
        Stage::new(Config { provisioned: 2, idle: Duration::from_millis(100), ..config() }, true);
    assert!(stage.platform.pool().wait_instances(2, PATIENCE));
    assert_eq!(stage.log.wait("Provisioned Report RequestId: ", 2).len(), 2);
    assert!(stage.tell("version").cold.is_none());
    assert_eq!(stage.tell("exit 0").verdict.status(), 439);
    assert!(
        stage.platform.pool().wait_instances(2, PATIENCE),
        "a new one replaces the one that ended"
    );
    stage.log.wait("Provisioned Report RequestId: ", 3);
    // Instances beyond the provisioned ones are started and ended.
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| stage.ask("sleep 300"));
        }
    });
    assert!(stage.platform.pool().wait_instances(2, PATIENCE));
    let extra = stage.log.wait("Init Report", 1).len();
    assert_eq!(
        stage.notes.wait("idle for 0.1 s", extra).len(),
        extra,
        "only the additional ones are ended"
    );
    assert_eq!(stage.log.wait("Provisioned Report", 3).len(), 3);
}

/// Regression: `run` checks whether the function starts. If the provisioned instances were the
/// maximum, the check was one instance above it.
#[test]
fn the_check_of_the_start_stays_within_the_maximum() {
    let stage = Stage::new(Config { provisioned: 1, max_instances: 1, ..config() }, true);
    let pool = stage.platform.pool();
    assert!(pool.wait_instances(1, PATIENCE));
    let start = pool.prime().expect("one has started");
    assert!(start.total() > Duration::ZERO);
    assert_eq!((pool.instances(), pool.pids().len()), (1, 1));
    let alone = Stage::new(Config { max_instances: 1, ..config() }, true);
    alone.platform.pool().prime().expect("it starts");
    assert_eq!(alone.platform.pool().instances(), 1);
    assert!(alone.tell("version").cold.is_none());
}

#[test]
fn a_provisioned_instance_that_does_not_start_is_reported_to_a_waiting_caller() {
    let environment = vec![("MOODY".to_owned(), "exit 7".to_owned())];
    let stage =
        Stage::new(Config { provisioned: 1, max_instances: 1, environment, ..config() }, true);
    let verdict = stage.platform.pool().prime().expect_err("it ends before it listens");
    assert_eq!(verdict, InvocationVerdict::ContainerExited("exited with code 7".into()));
}

#[test]
fn an_asynchronous_event_is_tried_three_times_under_one_id() {
    let stage = Stage::new(config(), true);
    let id = stage.platform.send(event("fail")).unwrap();
    stage.notes.wait("given up after 2 retries", 1);
    let starts = stage.log.wait("START", 3);
    assert_eq!(starts, vec![format!("START RequestId:{id}"); 3]);
    let id = stage.platform.send(event("version")).unwrap();
    stage.log.wait(&format!("END RequestId:{id}"), 1);
    assert_eq!(stage.notes.wait(&id, 0).len(), 0, "a success is not retried");
}

#[test]
fn an_asynchronous_event_is_retried_after_it_ended_its_instance() {
    let stage = Stage::new(Config { max_instances: 1, ..config() }, true);
    let id = stage.platform.send(event("exit 1")).unwrap();
    stage.notes.wait("given up after 2 retries", 1);
    assert_eq!(stage.log.wait(&format!("ERROR RequestId:{id}"), 3).len(), 3);
    assert_eq!(stage.log.wait("Init Report", 3).len(), 3, "each try had an instance");
}
