//! Lines of a Dockerfile: comments, the `escape` directive, continuation lines. It splits and
//! numbers them; [`crate::recipe`] interprets the instructions. Docker's Dockerfile reference,
//! "Format", "Parser directives".

/// One instruction, with its continuation lines joined.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Line of its keyword, counted from 1.
    pub line: usize,
    /// The keyword in upper case.
    pub keyword: String,
    /// The text after the keyword, without surrounding white space.
    pub rest: String,
}

/// Instructions of a Dockerfile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub instructions: Vec<Instruction>,
    /// The character that continues a line and escapes characters in a word: a backslash, unless a
    /// directive sets the backtick.
    pub escape: char,
}

/// Splits `text`.
///
/// # Errors
/// Line and reason if the `escape` directive names neither a backslash nor a backtick.
pub(crate) fn split(text: &str) -> Result<Split, (usize, String)> {
    // Some editors write a byte order mark first; Docker skips it too.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_directive(text)?;
    let mut instructions: Vec<Instruction> = Vec::new();
    let mut continues = false;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        // Comments and empty lines may occur between continuation lines.
        if trimmed.starts_with('#') || trimmed.trim_end().is_empty() {
            continue;
        }
        let (content, goes_on) = match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
            Some(content) => (content, true),
            None => (line, false),
        };
        match instructions.last_mut() {
            Some(last) if continues => last.rest.push_str(content),
            _ => instructions.push(Instruction {
                line: number + 1,
                keyword: String::new(),
                rest: content.to_owned(),
            }),
        }
        continues = goes_on;
    }
    for instruction in &mut instructions {
        let joined = instruction.rest.trim();
        let (keyword, rest) = joined.split_once(char::is_whitespace).unwrap_or((joined, ""));
        (instruction.keyword, instruction.rest) =
            (keyword.to_ascii_uppercase(), rest.trim().to_owned());
    }
    instructions.retain(|i| !i.keyword.is_empty());
    Ok(Split { instructions, escape })
}

/// Directives are comments of the form `# name=value`, before anything else.
fn escape_directive(text: &str) -> Result<char, (usize, String)> {
    for (number, line) in text.lines().enumerate() {
        let Some((name, value)) = line.trim().strip_prefix('#').and_then(|c| c.split_once('='))
        else {
            break;
        };
        match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "\\") => return Ok('\\'),
            ("escape", "`") => return Ok('`'),
            ("escape", other) => {
                return Err((
                    number + 1,
                    format!("escape character `{other}` is neither a backslash nor a backtick"),
                ));
            }
            // choose and tune BuildKit's frontend: nothing here depends on them
            ("syntax" | "check", _) => {}
            _ => break,
        }
    }
    Ok('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(usize, String, String)> {
        let split = split(text).expect("a Dockerfile");
        split.instructions.into_iter().map(|i| (i.line, i.keyword, i.rest)).collect()
    }

    #[test]
    fn joins_continuation_lines_and_skips_comments_within() {
        let text =
            "# a comment\n\nFROM scratch\n  env A=1 \\\n# inside\n\n  B=2 \\  \n  C=3\nCMD [\"x\"]";
        let expected =
            [(3, "FROM", "scratch"), (4, "ENV", "A=1   B=2   C=3"), (9, "CMD", "[\"x\"]")];
        assert_eq!(lines(text), expected.map(|(n, k, r)| (n, k.to_owned(), r.to_owned())));
    }

    #[test]
    fn takes_the_escape_directive_only_at_the_top() {
        assert_eq!(lines("# escape=`\nENV A=1 `\n B=2")[0].2, "A=1  B=2");
        assert_eq!(lines("# syntax=x/y\n#escape = `\nENV A=1 `\n B=2")[0].2, "A=1  B=2");
        assert_eq!(lines("# words\n# escape=`\nENV A=1 `")[0].2, "A=1 `");
        assert_eq!(
            split("# escape=x\n"),
            Err((1, "escape character `x` is neither a backslash nor a backtick".into()))
        );
    }

    #[test]
    fn reads_windows_line_ends_and_a_byte_order_mark() {
        assert_eq!(lines("\u{feff}FROM scratch\r\nUSER 1\r\n").len(), 2);
        assert_eq!(lines("\u{feff}FROM scratch\r\nUSER 1\r\n")[1].2, "1");
    }
}
