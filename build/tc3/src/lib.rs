//! TC3-HMAC-SHA256, the signature of requests to Tencent Cloud's API (documents 213/30654 and
//! 1278/55260, "Signature v3"): clients make it, the emulator verifies it. It sends nothing and has
//! no clock: its input is bytes and seconds, its output a text or a verdict.
//!
//! Read in this order: [`credential`], [`canonical`], [`authorization`], [`sign`], [`verify`].
//!
//! # Example
//! A client signs, a server verifies; only the header field `Authorization` is added.
//! ```
//! use tc3::{Call, Credential, sign, verify};
//!
//! let credential = Credential::new("test-id", "test-key");
//! let call = Call {
//!     method: "POST",
//!     path: "/",
//!     query: "",
//!     headers: &[("Content-Type", "application/json"), ("Host", "127.0.0.1:9002")],
//!     payload: br#"{"FunctionName":"hello"}"#,
//! };
//! let seconds = 1_551_113_065;
//! let authorization = sign(&call, &credential, "scf", seconds);
//! assert!(authorization.starts_with(
//!     "TC3-HMAC-SHA256 Credential=test-id/2019-02-25/scf/tc3_request, \
//!      SignedHeaders=content-type;host, Signature="
//! ));
//! let known = |id: &str| (id == "test-id").then_some(&credential);
//! let verified = verify(&call, &authorization, seconds, seconds + 299, known).unwrap();
//! assert_eq!(verified.service, "scf");
//! assert!(verify(&call, &authorization, seconds, seconds + 301, known).is_err());
//! ```

#![forbid(unsafe_code)]

pub mod authorization;
pub mod canonical;
pub mod credential;
pub mod sign;
pub mod verify;

pub use canonical::Call;
pub use credential::Credential;
pub use sign::sign;
pub use verify::{Refusal, Verified, verify};
