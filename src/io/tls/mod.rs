//! TLS, by rustls with ring: what clients of this crate are told about it, and what both sides share.

mod key;
mod server;

pub use server::http_server;
pub(crate) use server::{Clients, files, self_signed, server};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use serde::Deserialize;
use std::sync::{Arc, OnceLock};
use weir_core::{build_error::BuildError, field::Field, node::Node};

/// How a client uses TLS.
pub(crate) const CLIENT: Field = Field::object(
    "tls",
    "TLS settings in place of the system's.",
    &[
        Field::bool("enabled", "Whether these settings are used.").default("false").advanced(),
        Field::bool("skip_cert_verify", "Whether any certificate of the server is believed.")
            .default("false")
            .advanced(),
        Field::bool(
            "enable_renegotiation",
            "Accepted for old configs: renegotiation is not supported, as it is unsafe.",
        )
        .default("false")
        .advanced(),
        Field::string("root_cas", "Certificates in PEM to believe instead of the system's.")
            .default("''")
            .advanced()
            .secret(),
        Field::string("root_cas_file", "A file of certificates in PEM to believe instead of the system's.")
            .default("''")
            .advanced(),
        Field::object("client_certs", "Certificates to show to the server.", CLIENT_CERTIFICATE)
            .list()
            .default("[]")
            .advanced(),
    ],
)
.advanced();

const CLIENT_CERTIFICATE: &[Field] = &[
    Field::string("cert", "The certificate in PEM.").default("''").advanced(),
    Field::string("key", "Its key in PEM.").default("''").advanced().secret(),
    Field::string("cert_file", "A file of the certificate in PEM.").default("''").advanced(),
    Field::string("key_file", "A file of its key in PEM.").default("''").advanced(),
    Field::string(
        "password",
        "The password of a key that is encrypted by PKCS #8, or as OpenSSL did of old.",
    )
    .default("''")
    .advanced()
    .secret(),
];

/// A client's TLS as configured.
#[derive(Deserialize, Default)]
pub(crate) struct TlsConfig {
    pub(crate) enabled: bool,
    skip_cert_verify: bool,
    #[expect(dead_code, reason = "only kept for old configs")]
    enable_renegotiation: bool,
    root_cas: String,
    root_cas_file: String,
    client_certs: Vec<CertificateConfig>,
}

#[derive(Deserialize)]
struct CertificateConfig {
    cert: String,
    key: String,
    cert_file: String,
    key_file: String,
    password: String,
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

fn read(file: &str, field: &str) -> Result<Vec<u8>, BuildError> {
    std::fs::read(file).map_err(|error| {
        BuildError::new(format!("open {file}: {}", weir_core::error::Error::from(error))).at(field)
    })
}

fn certificates(pem: &[u8], field: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(BuildError::new("no certificate in PEM was found").at(field)),
        Err(error) => Err(BuildError::new(format!("failed to read a certificate in PEM: {error}")).at(field)),
    }
}

/// Certificates and the key of the first, in PEM, from these fields.
fn chain(certificate: &[u8], key: &[u8], password: &str, fields: (&str, &str)) -> Result<Chain, BuildError> {
    let key = key::read(key, password).map_err(|error| BuildError::new(error).at(fields.1))?;
    Ok((certificates(certificate, fields.0)?, key))
}

impl CertificateConfig {
    fn chain(&self) -> Result<Chain, BuildError> {
        match (self.cert.is_empty(), self.key.is_empty()) {
            (false, false) => {
                chain(self.cert.as_bytes(), self.key.as_bytes(), &self.password, ("cert", "key"))
            }
            (true, true) => file_chain(&self.cert_file, &self.key_file, &self.password),
            _ => Err(BuildError::new("missing cert or key field in TLS config")),
        }
    }
}

fn file_chain(certificate: &str, key: &str, password: &str) -> Result<Chain, BuildError> {
    let fields = ("cert_file", "key_file");
    chain(&read(certificate, fields.0)?, &read(key, fields.1)?, password, fields)
}

/// The certificates that the system believes, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    Arc::clone(ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    }))
}

fn failed(error: &TlsError) -> BuildError {
    BuildError::new(format!("failed to set up TLS: {error}"))
}

/// A client's TLS; the system's where it is not enabled.
pub(crate) fn client(config: &TlsConfig) -> Result<ClientConfig, BuildError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    if !config.enabled {
        return Ok(builder.with_root_certificates(system_roots()).with_no_client_auth());
    }
    let builder = if config.skip_cert_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous(provider())))
    } else {
        let (pem, field) = match (&*config.root_cas, &*config.root_cas_file) {
            ("", "") => (Vec::new(), ""),
            ("", file) => (read(file, "root_cas_file")?, "root_cas_file"),
            (text, _) => (text.as_bytes().to_vec(), "root_cas"),
        };
        let roots = if field.is_empty() {
            system_roots()
        } else {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(&pem, field)?);
            Arc::new(roots)
        };
        builder.with_root_certificates(roots)
    };
    match config.client_certs.first() {
        None => Ok(builder.with_no_client_auth()),
        Some(certificate) => {
            let (chain, key) = certificate.chain().map_err(|error| error.at("0").at("client_certs"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| failed(&error))
        }
    }
}

/// Which HTTP a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// What the server prefers.
    Any,
    /// Never 2.
    Only1,
    /// Nothing but 2, also without TLS.
    Only2,
}

/// An HTTP client by the field `tls` of a config; null: the system's TLS.
pub fn http_client(tls: &Node) -> Result<reqwest::Client, BuildError> {
    http_client_of(tls, Version::Any)
}

/// The same for calls of gRPC: it speaks nothing but HTTP/2.
pub fn grpc_client(tls: &Node) -> Result<reqwest::Client, BuildError> {
    http_client_of(tls, Version::Only2)
}

fn http_client_of(tls: &Node, version: Version) -> Result<reqwest::Client, BuildError> {
    let config = if tls.is_null() { TlsConfig::default() } else { tls.read()? };
    let client = http_builder(client(&config)?, version).build();
    client.map_err(|error| BuildError::new(error.to_string()))
}

/// The begin of an HTTP client.
pub(crate) fn http_builder(mut tls: ClientConfig, version: Version) -> reqwest::ClientBuilder {
    let (two, one) = (b"h2".to_vec(), b"http/1.1".to_vec());
    tls.alpn_protocols = match version {
        Version::Any => vec![two, one],
        Version::Only1 => vec![one],
        Version::Only2 => vec![two],
    };
    let builder = reqwest::Client::builder()
        .user_agent("weir")
        .http1_title_case_headers()
        .tls_backend_preconfigured(tls);
    match version {
        Version::Any => builder,
        Version::Only1 => builder.http1_only(),
        Version::Only2 => builder.http2_prior_knowledge(),
    }
}

/// Believes any certificate, as was asked; signatures must still be right.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
