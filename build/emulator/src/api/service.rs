//! Dispatch of accepted requests: calls the action, and makes the API's JSON of its result.

use crate::api::error::ApiError;
use crate::api::parameters::Parameters;
use crate::api::session::Session;
use crate::invocation::new_id;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answer for the client.
#[derive(Debug)]
pub enum Answer {
    /// A body of JSON.
    Body(String),
    /// No reply: the server resets the connection.
    Reset,
}

impl Session {
    /// Answers an action of a service.
    pub fn answer(
        self: &Arc<Self>,
        service: &str,
        version: &str,
        action: &str,
        body: &[u8],
    ) -> Answer {
        let answered = self.act(service, version, action, body);
        let is_call = ["Invoke", "InvokeFunction"].contains(&action);
        if is_call && answered.is_ok() && self.faults.happens("reset") {
            return Answer::Reset;
        }
        Answer::Body(respond(answered))
    }

    fn act(
        self: &Arc<Self>,
        service: &str,
        version: &str,
        action: &str,
        body: &[u8],
    ) -> Result<Value, ApiError> {
        let expected = match service {
            "scf" => "2018-04-16",
            "cls" => "2020-10-16",
            other => {
                return Err(ApiError::new(
                    "NoSuchProduct",
                    format_args!("the service `{other}` is not emulated; scf and cls are"),
                ));
            }
        };
        if version != expected {
            return Err(ApiError::new(
                "NoSuchVersion",
                format_args!("X-TC-Version is `{version}`; {service} needs {expected}"),
            ));
        }
        self.disturb(action)?;
        let of = Parameters::read(action, service, body)?;
        match action {
            "GetAccount" => self.get_account(),
            "CreateFunction" => self.create_function(&of),
            "GetFunction" => self.get_function(&of),
            "ListFunctions" => self.list_functions(&of),
            "UpdateFunctionCode" => self.update_function(&of, true),
            "UpdateFunctionConfiguration" => self.update_function(&of, false),
            "DeleteFunction" => self.delete_function(&of),
            "PublishVersion" => self.publish_version(&of),
            "ListVersionByFunction" => self.list_versions(&of),
            "DeleteFunctionVersion" => self.delete_version(&of),
            "Invoke" => self.invoke(&of),
            "InvokeFunction" => self.invoke_function(&of),
            "GetRequestStatus" => self.get_request_status(&of),
            "PutProvisionedConcurrencyConfig" => self.put_provisioned(&of),
            "GetProvisionedConcurrencyConfig" => self.get_provisioned(&of),
            "DeleteProvisionedConcurrencyConfig" => self.delete_provisioned(&of),
            "CreateAlias" => self.create_alias(&of),
            "GetAlias" => self.get_alias(&of),
            "UpdateAlias" => self.update_alias(&of),
            "ListAliases" => self.list_aliases(&of),
            "DeleteAlias" => self.delete_alias(&of),
            "CreateNamespace" => self.create_namespace(&of),
            "UpdateNamespace" => self.update_namespace(&of),
            "DeleteNamespace" => self.delete_namespace(&of),
            "ListNamespaces" => self.list_namespaces(&of),
            "CreateTrigger" => self.create_trigger(&of),
            "UpdateTrigger" | "UpdateTriggerStatus" => self.update_trigger(&of),
            "DeleteTrigger" => self.delete_trigger(&of),
            "ListTriggers" => self.list_triggers(&of),
            "SearchLog" => self.search_log(&of),
            other => Err(ApiError::new("InvalidAction", format_args!("`{other}` is not emulated"))),
        }
    }

    /// Faults that apply before every action.
    fn disturb(&self, action: &str) -> Result<(), ApiError> {
        if self.faults.happens_to("request-limit", action) {
            return Err(ApiError::new(
                "RequestLimitExceeded",
                format_args!("too many calls of {action}; wait a moment"),
            ));
        }
        if self.faults.happens_to("no-permission", action) {
            return Err(ApiError::new(
                "UnauthorizedOperation.CAM",
                format_args!("the key is not allowed to do {action}; grant it in CAM"),
            ));
        }
        let is_its = |text: &str| text.split_once('@').is_none_or(|(_, its)| its == action);
        match self.faults.text("error", is_its) {
            Some(text) => {
                let code = text.split('@').next().unwrap_or_default();
                Err(ApiError::new(code, "a fault was injected"))
            }
            None => Ok(()),
        }
    }
}

/// The answer in the API's JSON.
pub(super) fn respond(answered: Result<Value, ApiError>) -> String {
    let mut response = answered
        .unwrap_or_else(|error| json!({"Error": {"Code": error.code, "Message": error.message}}));
    if let Some(members) = response.as_object_mut() {
        members.insert("RequestId".into(), new_id().into());
    }
    json!({"Response": response}).to_string()
}
