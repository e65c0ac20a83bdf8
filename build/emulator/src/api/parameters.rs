//! Parameters of a request, checked against [`super::shapes`]: all are known, none is missing, and
//! each has its type. The actions check their values.

use crate::api::error::ApiError;
use crate::api::shapes::{ACTIONS, SHAPES};
use serde_json::{Map, Value};

/// Parameters with the required names and types.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Map<String, Value>);

impl Parameters {
    /// Reads a request's body.
    ///
    /// # Errors
    /// InvalidAction (through its service's), InvalidParameter, MissingParameter,
    /// UnknownParameter, InvalidParameterValue.
    pub fn read(action: &str, service: &str, body: &[u8]) -> Result<Parameters, ApiError> {
        let Some((_, _, shape)) =
            ACTIONS.iter().find(|(name, its, _)| *name == action && *its == service)
        else {
            return Err(ApiError::new(
                "InvalidAction",
                format_args!("`{action}` of {service} is not emulated"),
            ));
        };
        let body = if body.is_empty() { b"{}" } else { body };
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return Err(ApiError::new("InvalidParameter", "the body is not a JSON object"));
        };
        check(&members, shape, "")?;
        Ok(Parameters(members.into_iter().filter(|(_, value)| !value.is_null()).collect()))
    }

    /// The text of a parameter; `None` if it is absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The text of a parameter that the shape requires.
    pub fn required(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// The whole number of a parameter.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// The truth value of a parameter: the text `TRUE` or `FALSE`, in any case.
    ///
    /// # Errors
    /// InvalidParameterValue.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name).map(str::to_ascii_uppercase).as_deref() {
            None | Some("") => Ok(None),
            Some("TRUE") => Ok(Some(true)),
            Some("FALSE") => Ok(Some(false)),
            Some(other) => Err(ApiError::new(
                "InvalidParameterValue",
                format_args!("`{name}` is `{other}`; it has to be TRUE or FALSE"),
            )),
        }
    }

    /// The value of a parameter, of any type.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Offset and limit of a list; `most` is the largest valid limit.
    ///
    /// # Errors
    /// InvalidParameterValue.Offset or .Limit.
    pub fn page(&self, most: usize) -> Result<(usize, usize), ApiError> {
        let number = |name: &str| match self.value(name) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => text.parse().map(Some).map_err(|_| ()),
            Some(other) => other.as_u64().map(Some).ok_or(()),
            None => Ok(None),
        };
        let wrong = |name: &str| {
            ApiError::new(
                format!("InvalidParameterValue.{name}"),
                format_args!("`{name}` is out of range"),
            )
        };
        let offset = number("Offset").map_err(|()| wrong("Offset"))?.unwrap_or(0);
        let limit = number("Limit").map_err(|()| wrong("Limit"))?.unwrap_or(20);
        if limit == 0 || limit > most as u64 {
            return Err(wrong("Limit"));
        }
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok((size(offset), size(limit)))
    }
}

/// Checks an object against a shape; `at` is its path, which ends in a dot.
fn check(members: &Map<String, Value>, shape: &str, at: &str) -> Result<(), ApiError> {
    let fields = || shape.split_whitespace().filter_map(|field| field.split_once(':'));
    for (name, value) in members {
        let known = fields().find(|(known, _)| known.trim_end_matches('!') == name);
        let Some((_, kind)) = known else {
            return Err(ApiError::new(
                "UnknownParameter",
                format_args!("unknown parameter `{at}{name}`"),
            ));
        };
        if !value.is_null() {
            check_type(value, kind, &format!("{at}{name}"))?;
        }
    }
    let missing = fields().filter_map(|(name, _)| name.strip_suffix('!'));
    for name in missing {
        if members.get(name).is_none_or(Value::is_null) {
            return Err(ApiError::new(
                "MissingParameter",
                format_args!("the parameter `{at}{name}` is missing"),
            ));
        }
    }
    Ok(())
}

fn check_type(value: &Value, kind: &str, at: &str) -> Result<(), ApiError> {
    let wrong = || {
        let kind = kind.trim_start_matches('[').trim_end_matches(']');
        Err(ApiError::new(
            "InvalidParameterValue",
            format_args!("the parameter `{at}` has the wrong type; it has to be {kind}"),
        ))
    };
    if let Some(inner) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        let Value::Array(items) = value else { return wrong() };
        return items
            .iter()
            .enumerate()
            .try_for_each(|(nth, item)| check_type(item, inner, &format!("{at}.{nth}")));
    }
    let is_right = match kind {
        "text" => value.is_string(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "bool" => value.is_boolean(),
        shape => {
            let Value::Object(members) = value else { return wrong() };
            let found = SHAPES.iter().find(|(name, _)| *name == shape);
            return found.map_or(Ok(()), |(_, shape)| check(members, shape, &format!("{at}.")));
        }
    };
    if is_right { Ok(()) } else { wrong() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(action: &str, body: &str) -> String {
        match Parameters::read(action, "scf", body.as_bytes()) {
            Ok(_) => "ok".into(),
            Err(error) => format!("{} {}", error.code, error.message),
        }
    }

    #[test]
    fn every_type_is_a_shape_or_simple() {
        let all = ACTIONS.iter().map(|(_, _, shape)| shape).chain(SHAPES.iter().map(|(_, s)| s));
        for field in all.flat_map(|shape| shape.split_whitespace()) {
            let (_, kind) = field.split_once(':').expect("a name and a type");
            let kind = kind.trim_start_matches('[').trim_end_matches(']');
            assert!(
                ["text", "int", "float", "bool"].contains(&kind)
                    || SHAPES.iter().any(|(name, _)| *name == kind),
                "{field}"
            );
        }
    }

    #[test]
    fn names_the_parameter_that_is_unknown_missing_or_of_the_wrong_type() {
        for (action, body, expected) in [
            ("GetFunction", r#"{"FunctionName":"f"}"#, "ok"),
            ("GetAccount", "", "ok"),
            ("GetFunction", r#"{"FunctionName":null}"#, "ok"),
            ("Sing", "{}", "InvalidAction `Sing`"),
            ("GetFunction", "[]", "InvalidParameter the body"),
            (
                "GetFunction",
                r#"{"Functionname":"f"}"#,
                "UnknownParameter unknown parameter `Functio",
            ),
            ("PublishVersion", "{}", "MissingParameter the parameter `FunctionName`"),
            ("PublishVersion", r#"{"FunctionName":null}"#, "MissingParameter"),
            ("PublishVersion", r#"{"FunctionName":1}"#, "InvalidParameterValue the parameter"),
            (
                "CreateFunction",
                r#"{"FunctionName":"f","Code":{"ImageConfig":{"ImageType":"personal"}}}"#,
                "MissingParameter the parameter `Code.ImageConfig.ImageUri`",
            ),
            (
                "CreateFunction",
                r#"{"FunctionName":"f","Code":{},"Environment":{"Variables":[{"Key":1}]}}"#,
                "InvalidParameterValue the parameter `Environment.Variables.0.Key`",
            ),
            (
                "CreateFunction",
                r#"{"FunctionName":"f","Code":{},"MemorySize":"128"}"#,
                "InvalidParameterValue the parameter `MemorySize` has the wrong type; it has to be",
            ),
        ] {
            let found = code(action, body);
            assert!(found.starts_with(expected), "{action} {body}: {found}");
        }
    }
}
