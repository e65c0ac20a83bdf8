//! Signatures printed in the platform's own documents: document 213/30654 ("Signature v3"), with
//! the key as masked on the Chinese page and on the international page.

use tc3::{Call, Credential, Refusal, sign, verify};

const SECONDS: i64 = 1_551_113_065;
const PAYLOAD: &[u8] =
    br#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
const HEADERS: &[(&str, &str)] =
    &[("Host", "cvm.tencentcloudapi.com"), ("Content-Type", "application/json; charset=utf-8")];
/// SecretId, SecretKey, signature.
const PAGES: [[&str; 3]; 2] = [
    [
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******",
        "Gu5t9xGARNpq86cd98joQYCN3*******",
        "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
    ],
    [
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    ],
];

fn call<'a>(headers: &'a [(&'a str, &'a str)], payload: &'a [u8]) -> Call<'a> {
    Call { method: "POST", path: "/", query: "", headers, payload }
}

#[test]
fn signs_as_the_pages_do() {
    for [id, key, signature] in PAGES {
        let signed = sign(&call(HEADERS, PAYLOAD), &Credential::new(id, key), "cvm", SECONDS);
        let expected = format!(
            "TC3-HMAC-SHA256 Credential={id}/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host, Signature={signature}"
        );
        assert_eq!(signed, expected);
    }
}

#[test]
fn accepts_the_documented_signatures_only() {
    let [id, key, signature] = PAGES[1];
    let credential = Credential::new(id, key);
    let known = |asked: &str| (asked == id).then_some(&credential);
    let text = |signature: &str| {
        format!(
            "TC3-HMAC-SHA256 Credential={id}/2019-02-25/cvm/tc3_request, \
             SignedHeaders=content-type;host, Signature={signature}"
        )
    };
    let good = text(signature);
    let check = |call: &Call<'_>, authorization: &str, seconds, now| {
        verify(call, authorization, seconds, now, known).map(|verified| verified.service)
    };
    let right = call(HEADERS, PAYLOAD);
    assert_eq!(check(&right, &good, SECONDS, SECONDS), Ok("cvm".to_owned()));
    // Names and values of header fields are compared in lower case.
    let capitals = [
        ("HOST", " CVM.tencentcloudapi.com "),
        ("content-TYPE", "application/json; charset=UTF-8"),
    ];
    assert_eq!(check(&call(&capitals, PAYLOAD), &good, SECONDS, SECONDS), Ok("cvm".to_owned()));

    let failure = Err(Refusal::SignatureFailure);
    for position in 0..signature.len() {
        let mut wrong = signature.to_owned().into_bytes();
        wrong[position] = if wrong[position] == b'0' { b'1' } else { b'0' };
        let wrong = text(&String::from_utf8(wrong).unwrap());
        assert_eq!(check(&right, &wrong, SECONDS, SECONDS), failure, "digit {position}");
    }
    for length in 0..signature.len() {
        assert_eq!(check(&right, &text(&signature[..length]), SECONDS, SECONDS), failure);
    }
    assert_eq!(check(&right, &text(&format!("{signature}00")), SECONDS, SECONDS), failure);
    for other in [
        Call { payload: b"{}", ..right },
        Call { path: "/x", ..right },
        Call { query: "a=b", ..right },
        Call { method: "GET", ..right },
        Call { headers: &[("Host", "scf.tencentcloudapi.com"), HEADERS[1]], ..right },
        Call { headers: &[HEADERS[0]], ..right },
    ] {
        assert_eq!(check(&other, &good, SECONDS, SECONDS), failure, "{other:?}");
    }
    assert_eq!(check(&right, &good, SECONDS + 1, SECONDS), failure, "another second was signed");
    let scope = good.replace("/cvm/", "/scf/");
    assert_eq!(check(&right, &scope, SECONDS, SECONDS), failure, "another service was signed");

    let expired = Err(Refusal::SignatureExpire);
    for (now, expected) in [
        (SECONDS + 300, Ok("cvm".to_owned())),
        (SECONDS + 301, expired.clone()),
        (SECONDS - 300, Ok("cvm".to_owned())),
        (SECONDS - 301, expired.clone()),
        (i64::MIN, expired),
    ] {
        assert_eq!(check(&right, &good, SECONDS, now), expected, "at {now}");
    }
    let unknown = good.replace("EXAMPLE", "UNKNOWN");
    assert_eq!(check(&right, &unknown, SECONDS, SECONDS), Err(Refusal::SecretIdNotFound));
    for form in [
        "",
        "Bearer x",
        &good.replace("content-type;host", "content-type"),
        &good.replace("content-type;host", "host"),
        &good.replace("/tc3_request", ""),
        &good.replace("TC3-HMAC-SHA256", "HmacSHA256"),
        &format!("{good}, More=1"),
    ] {
        let refused = check(&right, form, SECONDS, SECONDS);
        assert_eq!(refused, Err(Refusal::InvalidAuthorization), "{form}");
    }
}

/// The request that Tencent's own command line sends to `--endpoint http://127.0.0.1:9002`: its
/// `Host` contains the scheme, and is signed like that.
#[test]
fn takes_a_host_with_a_scheme_as_it_was_signed() {
    let credential = Credential::new("test-id", "test-key");
    let known = |_: &str| Some(&credential);
    let headers = [("Host", "http://127.0.0.1:9002"), ("Content-Type", "application/json")];
    let call = call(&headers, b"{}");
    let signed = sign(&call, &credential, "scf", SECONDS);
    assert!(verify(&call, &signed, SECONDS, SECONDS, known).is_ok());
    let other = [("Host", "127.0.0.1:9002"), headers[1]];
    let other = Call { headers: &other, ..call };
    assert_eq!(verify(&other, &signed, SECONDS, SECONDS, known), Err(Refusal::SignatureFailure));
}

#[test]
fn signs_no_payload_if_the_client_asks_for_that() {
    let credential = Credential::new("id", "key");
    let known = |_: &str| Some(&credential);
    let unsigned = [HEADERS[0], HEADERS[1], ("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD")];
    let first = call(&unsigned, b"one");
    let signed = sign(&first, &credential, "scf", SECONDS);
    let second = Call { payload: b"two", ..first };
    assert!(verify(&second, &signed, SECONDS, SECONDS, known).is_ok());
}

#[test]
fn a_secret_is_not_shown() {
    let shown = format!("{:?}", Credential::new("id", "very-secret"));
    assert!(shown.contains("id") && !shown.contains("very-secret"), "{shown}");
}
