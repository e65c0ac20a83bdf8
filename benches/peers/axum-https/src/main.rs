//! Peer of call-https: axum and reqwest with rustls and ring. The client is made at the first event
//! and shared from then on.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use reqwest::Client;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    let path = variable("UPSTREAM_CA");
    for certificate in CertificateDer::pem_file_iter(path).expect("the bench has made the file") {
        roots.add(certificate.expect("the file is complete")).expect("it has a certificate");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder().tls_backend_preconfigured(config).build().expect("the configuration is valid")
});

fn variable(name: &str) -> String {
    std::env::var(name).expect("the bench sets it")
}

async fn ask() -> Result<Json<Value>, StatusCode> {
    let ask = async {
        let reply = CLIENT.get(variable("UPSTREAM_URL")).send().await?;
        let status = reply.status().as_u16();
        Ok::<_, reqwest::Error>((status, reply.bytes().await?.len()))
    };
    let (status, bytes) = ask.await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(Json(json!({ "status": status, "bytes": bytes })))
}

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(timer::address()).await?;
        axum::serve(listener, Router::new().route("/event-invoke", post(ask))).await
    })
}
