//! Words of an instruction: quotes, escapes and variables. Docker's Dockerfile reference,
//! "Environment replacement": `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME:+word}`.

/// Splits at white space outside of quotes; quotes and escapes stay in the words.
pub(crate) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match quote {
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        // An escaped quote or space does not end a word. Single quotes have no escapes.
        if c == escape && quote != Some('\'') {
            word.extend(characters.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Replaces `$NAME`, removes quotes and escapes.
///
/// # Errors
/// What is wrong with the word: a quote or brace that is not closed, an unknown modifier.
pub(crate) fn expand(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => loop {
                match rest.next() {
                    Some('\'') => break,
                    Some(inner) => out.push(inner),
                    None => return Err(format!("the quote in `{word}` is not closed")),
                }
            },
            '"' => loop {
                match rest.next() {
                    Some('"') => break,
                    Some('$') => variable(&mut rest, &mut out, word, escape, lookup)?,
                    Some(inner) if inner == escape => match rest.next() {
                        // Inside double quotes only these are special; before any other character
                        // the escape character stands for itself.
                        Some(special) if special == '"' || special == '$' || special == escape => {
                            out.push(special)
                        }
                        Some(other) => out.extend([inner, other]),
                        None => return Err(format!("the quote in `{word}` is not closed")),
                    },
                    Some(inner) => out.push(inner),
                    None => return Err(format!("the quote in `{word}` is not closed")),
                }
            },
            '$' => variable(&mut rest, &mut out, word, escape, lookup)?,
            _ if c == escape => out.push(rest.next().unwrap_or(escape)),
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Expands the variable after a `$`.
fn variable(
    rest: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let name_character = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    if rest.next_if_eq(&'{').is_none() {
        let mut name = String::new();
        while let Some(c) = rest.next_if(name_character) {
            name.push(c);
        }
        // A `$` before any other character is a dollar sign.
        if name.is_empty() {
            out.push('$')
        } else {
            out.push_str(&lookup(&name).unwrap_or_default())
        }
        return Ok(());
    }
    let mut inner = String::new();
    let mut depth = 1;
    for c in rest.by_ref() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            break;
        }
        inner.push(c);
    }
    if depth != 0 {
        return Err(format!("the brace in `{word}` is not closed"));
    }
    let end = inner.find(|c| !name_character(&c)).unwrap_or(inner.len());
    let (name, modifier) = inner.split_at(end);
    if name.is_empty() {
        return Err(format!("`${{{inner}}}` names no variable"));
    }
    let value = lookup(name).filter(|v| modifier.is_empty() || !v.is_empty());
    match (modifier.get(..2), modifier) {
        (_, "") => out.push_str(&value.unwrap_or_default()),
        (Some(":-"), _) => {
            out.push_str(&value.map_or_else(|| expand(&modifier[2..], escape, lookup), Ok)?)
        }
        (Some(":+"), _) if value.is_some() => {
            out.push_str(&expand(&modifier[2..], escape, lookup)?)
        }
        (Some(":+"), _) => {}
        _ => {
            return Err(format!("`${{{inner}}}` has an unknown modifier; use `:-` or `:+`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(word: &str) -> Result<String, String> {
        expand(word, '\\', &|name| match name {
            "A" => Some("one".into()),
            "E" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn splits_outside_of_quotes_only() {
        assert_eq!(
            split(r#"a=1 "b c"=d  e='f g' h\ i "j\" k""#, '\\'),
            ["a=1", r#""b c"=d"#, "e='f g'", r"h\ i", r#""j\" k""#]
        );
        assert_eq!(split("  ", '\\'), Vec::<String>::new());
    }

    #[test]
    fn replaces_variables_and_removes_quotes() {
        for (word, expected) in [
            ("plain", "plain"),
            ("$A/x", "one/x"),
            ("${A}x", "onex"),
            ("$nothing-", "-"),
            ("'$A'", "$A"),
            (r#""$A b""#, "one b"),
            (r"\$A", "$A"),
            (r#""\$A \x \" \\""#, r#"$A \x " \"#),
            ("${X:-two}", "two"),
            ("${E:-$A}", "one"),
            ("${A:-two}", "one"),
            ("${A:+yes}${X:+no}", "yes"),
            ("${X:-${A}}", "one"),
            ("cost$", "cost$"),
            ("$ 5", "$ 5"),
        ] {
            assert_eq!(expanded(word).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn reports_what_is_wrong_with_a_word() {
        for (word, says) in [
            ("'a", "not closed"),
            ("\"a", "not closed"),
            ("${A", "not closed"),
            ("${}", "names no"),
            ("${A#x}", "modifier"),
            ("${A:é}", "modifier"),
        ] {
            assert!(expanded(word).expect_err(word).contains(says), "{word}");
        }
    }
}
