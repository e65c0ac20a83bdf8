//! Query of CLS, without its statistics: `KEY:value`, `KEY:"value"`, `value*`, AND, OR, NOT,
//! parentheses, and `*` for all lines (CLS 614/47044, CQL). Statistics after `|` are refused.

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// Matches every line.
    All,
    /// Matches a field, or any field if the name is empty; `true` if the value is a prefix.
    Term(Option<String>, String, bool),
    /// Matches if the inner query does not.
    Not(Box<Query>),
    /// Matches if all of these match.
    And(Vec<Query>),
    /// Matches if one of these matches.
    Or(Vec<Query>),
}

/// Largest depth of nested parentheses and NOT.
const MAX_DEPTH: usize = 32;

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// A message that states the syntax error.
    pub fn parse(text: &str) -> Result<Query, String> {
        if text.len() > 12_000 {
            return Err("the query is longer than 12 KB".into());
        }
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        if rest.is_empty() {
            return Ok(Query::All);
        }
        let query = any(&mut rest, 0)?;
        match rest {
            [] => Ok(query),
            [token, ..] => Err(format!("unexpected {token:?}")),
        }
    }

    /// Whether a line with these fields matches.
    pub fn fits(&self, fields: &[(&str, &str)]) -> bool {
        match self {
            Query::All => true,
            Query::Term(name, value, begins) => fields
                .iter()
                .filter(|(known, _)| name.as_ref().is_none_or(|name| name == known))
                .any(|(_, text)| match begins {
                    true => text.starts_with(value.as_str()),
                    false => holds(text, value),
                }),
            Query::Not(inner) => !inner.fits(fields),
            Query::And(all) => all.iter().all(|query| query.fits(fields)),
            Query::Or(some) => some.iter().any(|query| query.fits(fields)),
        }
    }
}

/// Whether a field contains a value. CLS splits fields into words at blanks and punctuation: a
/// value matches the whole field, or one or several whole words of it.
fn holds(text: &str, value: &str) -> bool {
    let is_inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "-_.$".contains(c));
    let mut found = text.match_indices(value).filter(|_| !value.is_empty());
    text == value
        || found.any(|(at, _)| {
            let after = text[at + value.len()..].chars().next();
            !is_inside(text[..at].chars().next_back()) && !is_inside(after)
        })
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Colon,
    And,
    Or,
    Not,
    Word(String, bool),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&c) = rest.peek() {
        match c {
            c if c.is_whitespace() => drop(rest.next()),
            '(' | ')' | ':' => {
                rest.next();
                tokens.push(match c {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    _ => Token::Colon,
                });
            }
            '|' => return Err("statistics (after `|`) are not emulated; leave them out".into()),
            '"' => {
                rest.next();
                let mut word = String::new();
                loop {
                    match rest.next() {
                        None => return Err("a closing quotation mark is missing".into()),
                        Some('"') => break,
                        Some('\\') => word.extend(rest.next()),
                        Some(c) => word.push(c),
                    }
                }
                tokens.push(Token::Word(word, false));
            }
            _ => {
                let mut word = String::new();
                let ends = |c: char| c.is_whitespace() || "():\"|".contains(c);
                while let Some(c) = rest.next_if(|&c| !ends(c)) {
                    word.push(c);
                }
                tokens.push(match word.as_str() {
                    "AND" | "and" => Token::And,
                    "OR" | "or" => Token::Or,
                    "NOT" | "not" => Token::Not,
                    _ => match word.strip_suffix('*') {
                        Some(start) => Token::Word(start.to_owned(), true),
                        None => Token::Word(word, false),
                    },
                });
            }
        }
    }
    Ok(tokens)
}

fn any(rest: &mut &[Token], depth: usize) -> Result<Query, String> {
    let mut some = vec![all(rest, depth)?];
    while let [Token::Or, tail @ ..] = rest {
        *rest = tail;
        some.push(all(rest, depth)?);
    }
    Ok(if some.len() == 1 { some.remove(0) } else { Query::Or(some) })
}

fn all(rest: &mut &[Token], depth: usize) -> Result<Query, String> {
    let mut every = vec![one(rest, depth)?];
    loop {
        match rest {
            [Token::And, tail @ ..] => *rest = tail,
            // Two terms without an operator are joined by AND.
            [Token::Word(..) | Token::Open | Token::Not, ..] => {}
            _ => break,
        }
        every.push(one(rest, depth)?);
    }
    Ok(if every.len() == 1 { every.remove(0) } else { Query::And(every) })
}

fn one(rest: &mut &[Token], depth: usize) -> Result<Query, String> {
    if depth > MAX_DEPTH {
        return Err("the query is nested too deeply".into());
    }
    let tokens = *rest;
    match tokens {
        [Token::Not, tail @ ..] => {
            *rest = tail;
            Ok(Query::Not(Box::new(one(rest, depth + 1)?)))
        }
        [Token::Open, tail @ ..] => {
            *rest = tail;
            let inner = any(rest, depth + 1)?;
            match *rest {
                [Token::Close, tail @ ..] => {
                    *rest = tail;
                    Ok(inner)
                }
                _ => Err("a closing parenthesis is missing".into()),
            }
        }
        [Token::Word(name, false), Token::Colon, Token::Word(value, begins), tail @ ..] => {
            *rest = tail;
            Ok(Query::Term(Some(name.clone()), value.clone(), *begins))
        }
        [Token::Word(word, true), tail @ ..] if word.is_empty() => {
            *rest = tail;
            Ok(Query::All)
        }
        [Token::Word(word, begins), tail @ ..] if tail.first() != Some(&Token::Colon) => {
            *rest = tail;
            Ok(Query::Term(None, word.clone(), *begins))
        }
        [token, ..] => Err(format!("unexpected {token:?}")),
        [] => Err("the query ends too early".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: [(&str, &str); 4] = [
        ("SCF_RequestId", "abc-1"),
        ("SCF_FunctionName", "f"),
        ("SCF_Type", "Platform"),
        ("SCF_Message", "Report RequestId:abc-1 Duration:1ms"),
    ];

    fn found(query: &str) -> bool {
        Query::parse(query).unwrap_or_else(|why| panic!("{query}: {why}")).fits(&LINE)
    }

    #[test]
    fn finds_by_the_documented_queries() {
        for query in [
            "",
            "*",
            "SCF_RequestId:\"abc-1\"",
            "SCF_RequestId:abc-1",
            "SCF_FunctionName:\"f\" AND SCF_Type:Platform AND SCF_Message:Report*",
            "SCF_RequestId:\"zzz\" OR SCF_RequestId:\"abc-1\"",
            "(SCF_FunctionName:g OR SCF_FunctionName:f) NOT SCF_Type:Custom",
            "Duration",
        ] {
            assert!(found(query), "{query}");
        }
        for query in [
            "SCF_RequestId:\"abc-2\"",
            "SCF_RequestId:\"abc\"",
            "Dura",
            "SCF_FunctionName:f AND SCF_Type:Custom",
            "NOT SCF_RequestId:abc-1",
            "SCF_Message:Init*",
            "nowhere",
        ] {
            assert!(!found(query), "{query}");
        }
    }

    #[test]
    fn refuses_invalid_queries() {
        for query in
            ["(", "a AND", "a:", ":", "\"open", "* | select count(*)", "a) b", &"(".repeat(99)]
        {
            assert!(Query::parse(query).is_err(), "{query}");
        }
    }
}
