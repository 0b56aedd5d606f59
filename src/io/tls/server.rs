//! TLS of servers: what they show, and what clients must show.

use super::{certificates, failed, file_chain, provider, read, system_roots};
use crate::reread::Reread;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime},
    server::{
        ClientHello, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::sync::Arc;
use weir_core::build_error::BuildError;

/// The certificate of files in PEM, read again when these have changed.
#[derive(Debug)]
struct CertificateFiles(Reread<CertifiedKey>);

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current(certified))
    }
}

/// What the files of a certificate and its key hold.
fn certified(files: &[String]) -> Result<CertifiedKey, BuildError> {
    let [certificate, key] = files else {
        return Err(BuildError::new("a certificate and its key are two files"));
    };
    let (chain, key) = file_chain(certificate, key, "")?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| failed(&error))
}

/// The certificate of files in PEM.
pub(crate) fn files(certificate: &str, key: &str) -> Result<Arc<dyn ResolvesServerCert>, BuildError> {
    let files = vec![certificate.to_owned(), key.to_owned()];
    Ok(Arc::new(CertificateFiles(Reread::new(files, certified)?)))
}

/// A certificate for `localhost` that nobody vouches for, made anew.
pub(crate) fn self_signed() -> Result<Arc<dyn ResolvesServerCert>, BuildError> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.map_err(|error| BuildError::new(format!("failed to make a certificate: {error}")))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let certified = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider());
    Ok(Arc::new(SingleCertAndKey::from(certified.map_err(|error| failed(&error))?)))
}

/// Which certificates a server asks its clients for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients<'a> {
    /// None.
    Unasked,
    /// Any at all.
    Any {
        /// Whether there must be one.
        required: bool,
    },
    /// One that the system believes.
    Believed {
        /// Whether there must be one.
        required: bool,
    },
    /// One that a certificate in this file of PEM vouches for.
    Of(&'a str),
}

impl Clients<'_> {
    fn verifier(self) -> Result<Arc<dyn ClientCertVerifier>, BuildError> {
        let (roots, required) = match self {
            Self::Unasked => return Ok(WebPkiClientVerifier::no_client_auth()),
            Self::Any { required } => return Ok(Arc::new(AnyClient { required })),
            Self::Believed { required } => (system_roots(), required),
            Self::Of(path) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(
                    &read(path, "client_ca_file")?,
                    "client_ca_file",
                )?);
                (Arc::new(roots), true)
            }
        };
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if let Self::Believed { .. } = self {
            // All names that the system knows would make each handshake some kilobytes longer.
            builder = builder.clear_root_hint_subjects();
        }
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| {
            let of =
                if matches!(self, Self::Of(_)) { "client_ca_file" } else { "certificates of the system" };
            BuildError::new(format!("{of}: {error}"))
        })
    }
}

/// The TLS of a server that shows a certificate.
pub(crate) fn server(
    shown: Arc<dyn ResolvesServerCert>,
    clients: Clients<'_>,
) -> Result<ServerConfig, BuildError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| failed(&error))?;
    Ok(builder.with_client_cert_verifier(clients.verifier()?).with_cert_resolver(shown))
}

/// The TLS of an HTTP server, of files in PEM. With `clients`, who calls must show a certificate that one in that
/// file vouches for.
pub fn http_server(
    certificate: &str,
    key: &str,
    clients: Option<&str>,
) -> Result<Arc<ServerConfig>, BuildError> {
    let mut config = server(files(certificate, key)?, clients.map_or(Clients::Unasked, Clients::Of))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Takes any certificate of a client, as was asked; signatures must still be right.
#[derive(Debug)]
struct AnyClient {
    required: bool,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
