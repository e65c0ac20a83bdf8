//! Parser of multipart/form-data (RFC 7578, with the grammar of RFC 2046, section 5.1): it splits a
//! body in memory into its parts without copying their content. It refuses forms that two parsers
//! could read differently. It has no socket and no clock.

use firstbyte::{Error, Result, Status};
use memchr::arch::all::twoway::Finder;

/// Largest number of parts of a form.
const MOST_PARTS: usize = 100;
/// Largest size of the fields before a part's content, in bytes.
const HEAD_BYTES: usize = 4 * 1024;
/// Largest size of the name of a part or a file, in bytes.
const NAME_BYTES: usize = 255;
/// Largest size of a boundary, in bytes (RFC 2046).
const BOUNDARY_BYTES: usize = 70;

/// One part.
pub struct Part<'a> {
    pub name: String,
    /// Only of a file: its name on the client's machine, without folders. It is for display, and
    /// must not be used as a path.
    pub filename: Option<String>,
    pub content_type: Option<&'a str>,
    pub content: &'a [u8],
}

/// The boundary that a request's Content-Type names.
///
/// # Errors
/// 415 for another media type, 400 for an invalid boundary.
pub fn boundary(content_type: Option<&str>) -> Result<String> {
    let other = || {
        let text = "send a form: Content-Type: multipart/form-data; boundary=…";
        Error::peer(Status::UNSUPPORTED_MEDIA_TYPE, text)
    };
    let (kind, parameters) = parameters(content_type.ok_or_else(other)?).ok_or_else(other)?;
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(other());
    }
    let wrong = || bad("Content-Type must name one boundary, of 1 to 70 characters of RFC 2046");
    let boundary = only(parameters, "boundary").map_err(|()| wrong())?.ok_or_else(wrong)?;
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    let is_boundary = (1..=BOUNDARY_BYTES).contains(&boundary.len())
        && boundary.bytes().all(is_allowed)
        && !boundary.ends_with(' ');
    if is_boundary { Ok(boundary) } else { Err(wrong()) }
}

/// The parts of a body, in order.
///
/// # Errors
/// 400 with what is wrong; 413 if there are too many.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = delimiter.as_bytes();
    // memchr's own choice of a search runs CPUID first, which a virtual machine traps
    let finder = Finder::new(delimiter);
    let find = |bytes: &[u8]| finder.find(bytes, delimiter);
    let cut =
        || bad("the form has no last delimiter; the body was truncated, or has another boundary");
    // Before the first delimiter there is nothing, or a preamble, which is ignored.
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => &body[find(body).ok_or_else(cut)? + delimiter.len()..],
    };
    let mut parts = Vec::new();
    loop {
        let (is_last, line) = match rest.strip_prefix(b"--") {
            Some(line) => (true, line),
            None => (false, rest),
        };
        let padding = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let line = &line[padding..];
        if is_last && (line.is_empty() || line.starts_with(b"\r\n")) {
            return Ok(parts);
        }
        if is_last || !line.starts_with(b"\r\n") {
            return Err(bad(
                "a line begins with the boundary and continues; choose another boundary",
            ));
        }
        if parts.len() == MOST_PARTS {
            let text = format!("a form may have {MOST_PARTS} parts; send more in a second one");
            return Err(Error::peer(Status::CONTENT_TOO_LARGE, text));
        }
        // From the end of the delimiter's line, which is also the end of an empty list of fields.
        let head_end =
            line[..line.len().min(HEAD_BYTES)].windows(4).position(|end| end == b"\r\n\r\n");
        let head_end = head_end.ok_or_else(|| {
            bad(format!("a part's fields must end with an empty line within {HEAD_BYTES} bytes"))
        })?;
        // A part without content may leave out the empty line's end.
        let after = &line[head_end + 2..];
        let end = find(after).ok_or_else(cut)?;
        let content = after.get(2..end).unwrap_or_default();
        parts.push(part(line.get(2..head_end).unwrap_or_default(), content)?);
        rest = &after[end + delimiter.len()..];
    }
}

/// Makes a part of its fields, without the last line's end, and its content.
fn part<'a>(head: &'a [u8], content: &'a [u8]) -> Result<Part<'a>> {
    let head = str::from_utf8(head).map_err(|_| bad("a part's fields must be UTF-8"))?;
    let (mut disposition, mut content_type) = (None, None);
    for line in head.split("\r\n") {
        let wrong = || bad("a part has an invalid field; write it as `Name: value`");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let value = value.trim_matches([' ', '\t']);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(is_name) || value.contains(char::is_control) {
            return Err(wrong());
        }
        let known = if name.eq_ignore_ascii_case("content-disposition") {
            &mut disposition
        } else if name.eq_ignore_ascii_case("content-type") {
            &mut content_type
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            // deprecated by RFC 7578, section 4.7; these three change nothing
            if !["7bit", "8bit", "binary"].iter().any(|same| value.eq_ignore_ascii_case(same)) {
                return Err(bad("a part has a Content-Transfer-Encoding; send it without one"));
            }
            continue;
        } else {
            continue; // to be ignored, section 4.8
        };
        if known.replace(value).is_some() {
            return Err(bad("a part has a field twice"));
        }
    }
    let wrong = || {
        bad(format!(
            "each part needs one Content-Disposition: form-data; name=\"…\", with names of at most \
             {NAME_BYTES} bytes"
        ))
    };
    let (kind, parameters) = disposition.and_then(parameters).ok_or_else(wrong)?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return Err(wrong());
    }
    let filename = only(parameters.clone(), "filename").map_err(|()| wrong())?;
    let name = only(parameters, "name").map_err(|()| wrong())?.ok_or_else(wrong)?;
    if name.len() > NAME_BYTES || filename.as_ref().is_some_and(|name| name.len() > NAME_BYTES) {
        return Err(wrong());
    }
    let filename = filename.map(|path| {
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        if matches!(name, "." | "..") { String::new() } else { name.to_owned() }
    });
    Ok(Part { name, filename, content_type, content })
}

type Parameters<'a> = Vec<(&'a str, String)>;

/// Parses `VALUE; NAME=VALUE; NAME="VALUE"`. Browsers write `"` in a name as `%22`; it is kept,
/// because a user may have typed it. curl's old form, `\"`, is decoded.
fn parameters(text: &str) -> Option<(&str, Parameters<'_>)> {
    let (kind, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    let mut found = Vec::new();
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start_matches([' ', '\t']);
        if parameter.is_empty() || parameter.starts_with(';') {
            rest = parameter;
            continue;
        }
        let (name, value) = parameter.split_once('=')?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let value = if let Some(quoted) = value.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.chars();
            loop {
                match characters.next()? {
                    '"' => break,
                    '\\' if characters.as_str().starts_with(['"', '\\']) => {
                        text.extend(characters.next());
                    }
                    other => text.push(other),
                }
            }
            rest = characters.as_str();
            text
        } else {
            let end = value.find([';', ' ', '\t', '"']).unwrap_or(value.len());
            let (value, after) = value.split_at(end);
            rest = after;
            value.to_owned()
        };
        found.push((name, value));
        rest = rest.trim_start_matches([' ', '\t']);
    }
    rest.is_empty().then(|| (kind.trim_matches([' ', '\t']), found))
}

/// The parameter with this name; an error if there are two.
fn only(parameters: Parameters<'_>, wanted: &str) -> Result<Option<String>, ()> {
    let mut found = parameters.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let first = found.next().map(|(_, value)| value);
    if found.next().is_some() { Err(()) } else { Ok(first) }
}

fn bad(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::peer(Status::BAD_REQUEST, text)
}
