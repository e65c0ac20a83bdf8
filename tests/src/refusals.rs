//! The log's lines about what the server refuses (docs/reference/function-server.md, "Errors and
//! the log"): one line each, up to a number a second, and the number of the others in one line.

/// Whether the line is about one refusal, or about a handler's reply of such a status.
pub fn is_of_one(line: &str) -> bool {
    let Some(message) = line.strip_prefix("WARN firstbyte: ") else { return false };
    let mut words = message.split(' ').skip_while(|word| word.starts_with("RequestId:"));
    words.next().is_some_and(|status| {
        status.parse().is_ok_and(|status: u16| matches!(status, 400..=499 | 501 | 505))
    })
}

/// The number in a line that counts refusals without lines of their own.
pub fn counted(line: &str) -> Option<usize> {
    line.strip_prefix("WARN firstbyte: \u{2026} ")?.strip_suffix(" refusals")?.parse().ok()
}

/// Number of refusals that the lines tell of: each in a line, and in a count.
pub fn accounted(lines: &[String]) -> (usize, usize) {
    let each = lines.iter().filter(|line| is_of_one(line)).count();
    (each, lines.iter().filter_map(|line| counted(line)).sum())
}
