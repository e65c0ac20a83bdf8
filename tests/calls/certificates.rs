//! An authority of a test's own, and certificates for 127.0.0.1 and localhost that are wrong in one
//! way each.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::sync::atomic::{AtomicUsize, Ordering};

static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It is another server's.
    Name,
    /// It was valid once.
    Expired,
    /// Another authority signed it.
    Authority,
}

/// Who signs.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("random numbers are there");
        let mut parameters = CertificateParams::new(Vec::new()).expect("no name is wrong");
        // each has a name of its own: a certificate's issuer is looked up by it
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
        let key = KeyPair::generate().expect("random numbers are there");
        let other = (flaw == Flaw::Authority).then(Authority::new);
        let issuer = other.as_ref().map_or(&self.issuer, |other| &other.issuer);
        let certificate = parameters.signed_by(&key, issuer).expect("the key fits");
        (certificate.pem(), key.serialize_pem())
    }
}
