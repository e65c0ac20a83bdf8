//! Event that every program gets, and the reply that each must give: a timer's event, with the
//! platform's 13 X-Scf-* headers (tests/data/events has its source). It checks replies and uses no
//! sockets.

/// The request's bytes, head and body.
pub const REQUEST: &[u8] = include_bytes!("../data/timer-event.http");
/// The body of the reply.
pub const EXPECTED: &str = r#"{"message":"oneminute fired at 2019-08-17T05:26:00Z"}"#;

/// Result of checking the bytes of a reply that have arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum ReplyCheck {
    /// The reply is incomplete.
    Partial,
    /// 200 with the expected body; the value is the size in bytes, with the head.
    Correct(usize),
    /// A wrong reply, with the reason.
    Wrong(String),
}

/// Checks the bytes of a reply that have arrived (RFC 9112, section 6: a body of Content-Length
/// bytes).
pub fn check(bytes: &[u8]) -> ReplyCheck {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut reply = httparse::Response::new(&mut headers);
    let head = match reply.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return ReplyCheck::Partial,
        Err(error) => return ReplyCheck::Wrong(format!("the reply's head is not HTTP: {error}")),
    };
    let length =
        reply.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length
        .and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    let Some(length) = length else {
        return ReplyCheck::Wrong("the reply has no valid Content-Length".into());
    };
    let Some(body) = head.checked_add(length).and_then(|end| bytes.get(head..end)) else {
        return ReplyCheck::Partial;
    };
    match (reply.code, body == EXPECTED.as_bytes()) {
        (Some(200), true) => ReplyCheck::Correct(head + length),
        (code, _) => ReplyCheck::Wrong(format!(
            "status {} with `{}`",
            code.unwrap_or(0),
            String::from_utf8_lossy(body)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_one_reply_and_no_prefix_of_it() {
        let reply =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{EXPECTED}", EXPECTED.len());
        assert_eq!(check(reply.as_bytes()), ReplyCheck::Correct(reply.len()));
        for end in 0..reply.len() {
            assert_eq!(check(&reply.as_bytes()[..end]), ReplyCheck::Partial, "{end}");
        }
    }

    #[test]
    fn refuses_another_status_and_another_body() {
        for reply in [
            "HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(matches!(check(reply.as_bytes()), ReplyCheck::Wrong(_)), "{reply}");
        }
    }

    #[test]
    fn the_requests_content_length_is_its_bodys_length() {
        let head = REQUEST.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let text = std::str::from_utf8(&REQUEST[..head]).expect("text");
        assert!(text.contains(&format!("Content-Length: {}\r\n", REQUEST.len() - head)));
        assert_eq!(text.lines().filter(|line| line.starts_with("X-Scf-")).count(), 13);
    }
}
