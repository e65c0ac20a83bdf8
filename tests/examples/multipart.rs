//! Tests of examples/multipart over a socket: forms as browsers and curl send them, and refused
//! forms.

use outside::peer::ask;
use outside::program;
use outside::reply::Reply;
use outside::server::Server;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::process::Command;
use tempfile::TempDir;

fn start() -> Server {
    Server::start(Command::new(program::package("example-multipart")))
}

fn send(server: &Server, content_type: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut request = format!(
        "POST / HTTP/1.1\r\nHost: h\r\n{content_type}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    ask(server.address, request)
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn forms_of_browsers_and_curl_are_read() {
    let server = start();
    // as Chromium writes one, with bytes that look like a delimiter's beginning
    let boundary = "----WebKitFormBoundaryAb12";
    let mut content: Vec<u8> = (0..=255).collect();
    content.extend_from_slice(b"\r\n--\r\n------WebKitFormBoundaryAb1\r\n--b\r\n\r\n");
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nh\u{e4}\r\nlo\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\u{4f60} \
         %22.bin\"\r\nContent-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(&content);
    body.extend_from_slice(
        format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
             filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--{boundary}--\r\n"
        )
        .as_bytes(),
    );
    let kind = format!("Content-Type: multipart/form-data; boundary={boundary}\r\n");
    let reply = send(&server, &kind, &body);
    assert_eq!(reply.status, 200, "{}", reply.body.escape_ascii());
    assert_eq!(
        reply.json(),
        json!([
            { "name": "note", "value": "h\u{e4}\r\nlo" },
            { "name": "file", "filename": "\u{4f60} %22.bin", "content_type": "image/png",
              "bytes": content.len(), "sha256": sha256(&content) },
            { "name": "file", "filename": "", "content_type": "application/octet-stream",
              "bytes": 0, "sha256": sha256(b"") },
        ])
    );
    // cut at any place, it is refused
    for end in 0..body.len() - 2 {
        assert_eq!(send(&server, &kind, &body[..end]).status, 400, "cut at {end}");
    }
    let page = ask(server.address, outside::peer::get("/"));
    assert!(page.text().contains("enctype=multipart/form-data"), "{page:?}");
}

#[test]
fn all_forms_of_the_grammar_are_accepted() {
    let server = start();
    for (kind, body, answer) in [
        ("boundary=b", "--b--", json!([])),
        ("boundary=b", "for nobody\r\n--b-- \t\r\nnor this", json!([])),
        ("BOUNDARY=\"b\" ; charset=utf-8;", "--b--", json!([])),
        ("boundary=\"a b:c\"", "--a b:c--", json!([])),
        (
            "boundary=----=_Part_1.2",
            "------=_Part_1.2\r\ncontent-disposition:form-data;name=a\r\n\r\n1\r\n\
             ------=_Part_1.2--",
            json!([{ "name": "a", "value": "1" }]),
        ),
        // no content, without the empty line's own end
        (
            "boundary=b",
            "--b \r\nContent-Disposition: form-data; name=\"\"\r\n\r\n--b--",
            json!([{ "name": "", "value": "" }]),
        ),
        (
            "boundary=b",
            "--b\r\nX-Other: 1\r\nContent-Transfer-Encoding: BINARY\r\nContent-Disposition: \
             form-data; name=\"a\\\"\\\\;b\"; filename*=UTF-8''x\r\n\r\n1\r\n--b--",
            json!([{ "name": "a\"\\;b", "value": "1" }]),
        ),
    ] {
        let kind = format!("Content-Type: Multipart/Form-Data; {kind}\r\n");
        let reply = send(&server, &kind, body);
        assert_eq!(reply.status, 200, "{body}: {}", reply.text());
        assert_eq!(reply.json(), answer, "{body}");
    }
    for path in ["C:\\dir\\n.txt", "../../etc/n.txt", "/n.txt"] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=f; filename=\"{path}\"\r\n\r\n\r\n--b--"
        );
        assert_eq!(send(&server, FORM, body).json()[0]["filename"], "n.txt", "{path}");
    }
}

#[test]
fn invalid_forms_are_refused() {
    let server = start();
    for kind in [
        "",
        "Content-Type: application/json\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: multipart/form-data; boundary=\"b\r\n",
    ] {
        send(&server, kind, "--b--").assert_is_error(415);
    }
    let long = format!("boundary={}", "b".repeat(71));
    for boundary in
        ["", "boundary=", "boundary=\"b \"", "boundary=b*", "boundary=b; boundary=c", &long]
    {
        let kind = format!("Content-Type: multipart/form-data; {boundary}\r\n");
        send(&server, &kind, "--b--").assert_is_error(400);
    }
    let long_name = format!("Content-Disposition: form-data; name={}", "n".repeat(256));
    let long_file = format!("Content-Disposition: form-data; name=a; filename={}", "n".repeat(256));
    let long_head = format!("Content-Disposition: form-data; name=a\r\nX: {}", "x".repeat(5000));
    for head in [
        "",
        "no field",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; name",
        "Content-Disposition: form-data; name=\"a",
        "Content-Disposition: form-data; name=a; name=b",
        "Content-Disposition: form-data; name=a; filename=b; FileName=c",
        "Content-Disposition: form-data; name=a b",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        "Content-Disposition: form-data; name=\"a\nX: b\"",
        "Content-Disposition: form-data; name=\"a\0\"",
        "Content-Disposition: form-data; name=a\r\n folded: 1",
        "Content-Disposition : form-data; name=a",
        "Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
        &long_name,
        &long_file,
        &long_head,
    ] {
        let reply = send(&server, FORM, format!("--b\r\n{head}\r\n\r\n1\r\n--b--\r\n"));
        assert_eq!(reply.status, 400, "{head}: {}", reply.text());
        reply.assert_is_error(400);
    }
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
    };
    for body in [
        String::new(),
        "--c--".to_owned(),
        "x--b--".to_owned(),
        "--b-".to_owned(),
        "--b--more".to_owned(),
        part("a", "1\r\n--bc") + "--b--",
        part("a", "1").replace("\r\n", "\n") + "--b--",
    ] {
        let reply = send(&server, FORM, &body);
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
    }
    let mut not_text = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n".to_vec();
    not_text.extend_from_slice(b"\xff\r\n--b--");
    send(&server, FORM, not_text).assert_is_error(400);
    let hundred = part("a", "1").repeat(100);
    assert_eq!(send(&server, FORM, format!("{hundred}--b--")).status, 200);
    send(&server, FORM, format!("{hundred}{}--b--", part("a", "1"))).assert_is_error(413);
}

#[test]
fn curl_sends_a_file() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: no curl; install it with `apt-get install curl`");
        return;
    }
    let server = start();
    let folder = TempDir::new().expect("a folder can be made");
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(folder.path().join("a \"b\".bin"), &content).expect("there is room");
    let url = format!("http://{}/", server.address);
    let output = Command::new("curl")
        .current_dir(folder.path())
        .args(["--silent", "--noproxy", "*", "--max-time", "20", "-F", "note=hello"])
        .args(["-F", "file=@\"a \\\"b\\\".bin\"", &url])
        .output()
        .expect("curl was there");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output.stdout.escape_ascii()));
    assert_eq!(answer[0], json!({ "name": "note", "value": "hello" }));
    assert_eq!(answer[1]["bytes"], content.len());
    assert_eq!(answer[1]["sha256"], sha256(&content));
    let name = answer[1]["filename"].as_str().unwrap_or_default();
    assert!(["a %22b%22.bin", "a \"b\".bin"].contains(&name), "{name}"); // new and old curl
}
