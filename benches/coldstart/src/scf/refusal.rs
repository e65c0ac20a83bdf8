//! Error codes of the platform, each with advice. Pure. The codes are those of API 2018-04-16 and
//! the shared ones of the cloud's API; the numbers are the platform's status codes (583/42611).

use crate::phase::Phase;

/// Advice for a code of the API; the look-up uses the longest known prefix.
pub fn advice(code: &str) -> &'static str {
    ADVICE
        .iter()
        .filter(|(known, _)| {
            code.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .max_by_key(|(known, _)| known.len())
        .map_or("the code's page of the SCF API says more", |(_, advice)| advice)
}

const ADVICE: [(&str, &str); 33] = [
    ("AuthFailure", "look at the key in the console, Access Management"),
    (
        "AuthFailure.SecretIdNotFound",
        "TENCENTCLOUD_SECRET_ID is not a key of the cloud: copy it again, or make a new one in \
         Access Management",
    ),
    (
        "AuthFailure.SignatureFailure",
        "TENCENTCLOUD_SECRET_KEY does not belong to TENCENTCLOUD_SECRET_ID: copy both again",
    ),
    (
        "AuthFailure.SignatureExpire",
        "this machine's clock is more than five minutes off: set it (`timedatectl`)",
    ),
    (
        "AuthFailure.TokenFailure",
        "the temporary key has run out: get another, or unset TENCENTCLOUD_TOKEN for a lasting one",
    ),
    ("AuthFailure.InvalidSecretId", "TENCENTCLOUD_SECRET_ID is not of the cloud's API: copy it"),
    ("AuthFailure.UnauthorizedOperation", PERMISSION),
    ("UnauthorizedOperation", PERMISSION),
    ("UnauthorizedOperation.CAM", PERMISSION),
    (
        "UnauthorizedOperation.TCR",
        "the image is in another account's registry, or SCF_QcsRole may not read it: use an image \
         of this account, or give the role the right in Access Management",
    ),
    (
        "InvalidParameterValue.ImageUri",
        "`--image HOST/NAMESPACE/NAME:TAG@sha256:…` of this account's own registry, in this region",
    ),
    (
        "InvalidParameterValue.ImageType",
        "an enterprise registry needs `--registry-id tcr-…`, a personal one has none",
    ),
    (
        "ResourceNotFound.ImageConfig",
        "the image is not in the registry under that digest: push it, and copy the digest that \
         `microimage push` prints",
    ),
    ("ResourceNotFound.RegistryId", "`--registry-id` names no registry of this account and region"),
    (
        "FailedOperation.ImageNotFound",
        "the image is not in the registry under that digest: push it, and copy the digest that \
         `microimage push` prints",
    ),
    (
        "ResourceUnavailable.InsufficientBalance",
        "the account has no money left: top it up; nothing is called until then",
    ),
    (
        "FailedOperation.InsufficientBalance",
        "the account has no money left: top it up; nothing is called until then",
    ),
    ("LimitExceeded.Memory", QUOTA),
    ("LimitExceeded.TotalConcurrencyMemory", QUOTA),
    ("LimitExceeded.FunctionTotalProvisionedConcurrencyMemory", QUOTA),
    ("LimitExceeded.FunctionProvisionedConcurrencyMemory", QUOTA),
    ("LimitExceeded.FunctionTotalProvisionedConcurrencyNum", QUOTA),
    (
        "LimitExceeded.Function",
        "a namespace holds 50 functions: measure fewer images and memory settings at a time, or \
         delete what is not needed",
    ),
    (
        "LimitExceeded.Namespace",
        "an account has five namespaces: name one that is there, `--namespace default`",
    ),
    (
        "LimitExceeded.FunctionVersions",
        "a function has at most 1000 versions: take fewer samples, or delete versions",
    ),
    (
        "LimitExceeded.ContainerImageAccelerate",
        "five functions of an account and region may be accelerated: leave the scenario out, or \
         switch it off elsewhere",
    ),
    (
        "LimitExceeded.ContainerImageAccelerateQuota",
        "five functions of an account and region may be accelerated: leave the scenario out, or \
         switch it off elsewhere",
    ),
    ("LimitExceeded", QUOTA),
    ("FailedOperation.ProvisionedExceedAvailable", QUOTA),
    (
        "RequestLimitExceeded",
        "the account calls the API too often, other tools included: wait, and run again",
    ),
    ("ResourceInUse.Function", "a function of that name is there already: run again"),
    (
        "UnsupportedOperation.Region",
        "SCF is not in that region: `--region ap-guangzhou`, for example",
    ),
    ("InvalidParameterValue.Region", "`--region ap-guangzhou`, for example"),
];
const PERMISSION: &str = "the key may not do that: give its user the policies \
                          QcloudSCFFullAccess and QcloudCLSReadOnlyAccess (Access Management), or \
                          name a namespace that it may use";
const QUOTA: &str = "the account's quota is used up in this region: measure with a smaller \
                     `--burst` or `--memory`, or ask for more (console, Function Service, quota)";

/// A status number of an invocation: its name, where the failure happened, and advice.
pub fn status(number: i64) -> Option<(&'static str, Phase, &'static str)> {
    Some(match number {
        400 => ("InvalidParameterValue", Phase::Start, "`--event` has to be JSON"),
        401 => ("InvalidCredentials", Phase::Start, "the role of the function has no rights"),
        405 => (
            "ContainerStateExited",
            Phase::Start,
            "the program ended: run it read-only, with \
                 /tmp alone writable (`firstbyte run` does so)",
        ),
        406 => ("RequestTooLarge", Phase::Start, "an event has at most 6 MB"),
        407 => (
            "The size of response exceeds the upper limit (6MB)",
            Phase::Start,
            "an answer has at most 6 MB",
        ),
        430 => ("User code exception caught", Phase::Start, "the handler failed: its log says why"),
        433 => ("TimeLimitReached", Phase::Start, "`--timeout SECONDS`, up to 900"),
        434 => ("MemoryLimitReached", Phase::Start, "`--memory MIB`, more of it"),
        439 => (
            "User process exit when running",
            Phase::Start,
            "the program ended while it ran: its log says \
                 why",
        ),
        443 => ("UserCodeError", Phase::Start, "the handler failed: its log says why"),
        444 => (
            "PullImageFailed",
            Phase::Pull,
            "the platform may not read the image: is it in \
                 this account and region, and has SCF_QcsRole the right?",
        ),
        445 => (
            "ContainerInitError",
            Phase::Create,
            "the image's command does not start: try it \
                 with `firstbyte run --image`",
        ),
        446 => (
            "PortBindingFailed",
            Phase::Start,
            "nothing listens on port 9000 of 0.0.0.0 in \
                 time",
        ),
        447 => (
            "PullImageTimeOut",
            Phase::Pull,
            "the image is too large or too far away: a \
                 smaller one, or acceleration",
        ),
        449 => (
            "InsufficientResources",
            Phase::Create,
            "the region has no machine left: later, \
                 or another region",
        ),
        450 => (
            "InitContainerTimeout",
            Phase::Start,
            "pull and start together took over \
                 InitTimeout: a smaller image, or `--init-timeout SECONDS`",
        ),
        499 => ("RequestCanceled", Phase::Start, "the request was cancelled"),
        500 => ("InternalError", Phase::Start, "the platform's own failure: run again"),
        _ => return None,
    })
}

/// Whether a code or the text of a failed call means that the platform starts no more instances
/// now: too many run or start (429, 432), or the region has no machine left (449). The function
/// does not cause any of these.
pub fn is_throttled(said: &str) -> bool {
    let words = ["ResourceLimit", "ResourceInsufficient", "InsufficientResources"];
    words.iter().any(|word| said.contains(word))
}

/// The same for the status number of an invocation.
pub fn is_throttling(number: i64) -> bool {
    matches!(number, 429 | 432 | 449)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_known_beginning_of_a_code_gives_the_advice() {
        for (code, word) in [
            ("AuthFailure.SecretIdNotFound", "TENCENTCLOUD_SECRET_ID"),
            ("AuthFailure.SomethingNew", "Access Management"),
            ("UnauthorizedOperation.CAM", "QcloudSCFFullAccess"),
            ("LimitExceeded.ContainerImageAccelerateQuota", "five functions"),
            ("LimitExceeded.SomethingNew", "quota"),
            ("ResourceNotFound.ImageConfig", "digest"),
            ("Never.Seen", "API says more"),
            ("AuthFailureX", "API says more"),
        ] {
            assert!(advice(code).contains(word), "{code}: {}", advice(code));
        }
    }

    #[test]
    fn a_status_has_a_phase() {
        assert_eq!(status(444).map(|s| s.1), Some(Phase::Pull));
        assert_eq!(status(445).map(|s| s.1), Some(Phase::Create));
        assert_eq!(status(446).map(|s| s.1), Some(Phase::Start));
        assert_eq!(status(200), None);
        for code in ["ResourceLimit", "ResourceUnavailable.ResourceLimit", "ResourceInsufficient"] {
            assert!(is_throttled(code), "{code}");
        }
        assert!(!is_throttled("RequestLimitExceeded") && !is_throttled("LimitExceeded.Function"));
        assert!(is_throttling(449) && !is_throttling(433));
    }
}
