//! Certificate authority of a test, and certificates for 127.0.0.1 and localhost, each with one
//! flaw.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::sync::atomic::{AtomicUsize, Ordering};

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// The flaw of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// No flaw.
    None,
    /// It is for another server.
    Name,
    /// It has expired.
    Expired,
    /// Another authority signed it.
    Authority,
}

/// A certificate authority.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("the system has random numbers");
        let mut parameters = CertificateParams::new(Vec::new()).expect("an empty list is valid");
        // each authority has its own name, because a certificate's issuer is searched by name
        let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed));
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("the key fits");
        Authority { pem: certificate.pem(), issuer: Issuer::new(parameters, key) }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate and its key.
    pub fn sign(&self, flaw: Flaw) -> (String, String) {
        let names = match flaw {
            Flaw::Name => vec!["elsewhere.example".to_owned()],
            _ => ["localhost", "127.0.0.1", "upstream.test"].map(str::to_owned).into(),
        };
        let mut parameters = CertificateParams::new(names).expect("the names are well-formed");
        if flaw == Flaw::Expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("the system has random numbers");
        let other = (flaw == Flaw::Authority).then(Authority::new);
        let issuer = other.as_ref().map_or(&self.issuer, |other| &other.issuer);
        let certificate = parameters.signed_by(&key, issuer).expect("the key fits");
        (certificate.pem(), key.serialize_pem())
    }
}
