//! What TLS asks of the database's server, for each `sslmode`.

use super::{DatabaseUrlError, Mode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The value of `sslrootcert` that means: whom this computer trusts.
const SYSTEM: &str = "system";

/// Whom to believe, and how.
pub(super) fn connector(
    mode: Mode,
    roots: Option<&str>,
) -> Result<MakeRustlsConnect, DatabaseUrlError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(match mode {
        Mode::Disable | Mode::Prefer | Mode::Require => Verifier::anybody(&provider),
        Mode::VerifyCa => Verifier::known(&provider, load_roots(roots)?, false)?,
        Mode::VerifyFull => Verifier::known(&provider, load_roots(roots)?, true)?,
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DatabaseUrlError::Tls(error.into()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn load_roots(file: Option<&str>) -> Result<RootCertStore, DatabaseUrlError> {
    let mut store = RootCertStore::empty();
    match file {
        None | Some(SYSTEM) => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(DatabaseUrlError::NoAuthorities);
            }
        }
        Some(file) => {
            let path = Path::new(file);
            let failed = |source: Box<dyn std::error::Error + Send + Sync>| {
                DatabaseUrlError::RootCertificates { path: path.to_owned(), source }
            };
            let found =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.into()))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| failed(error.into()))?;
                store.add(certificate).map_err(|error| failed(error.into()))?;
            }
            if store.is_empty() {
                return Err(failed("it has no certificates".into()));
            }
        }
    }
    Ok(store)
}

/// Looks at the server's certificate as far as the mode asks for it.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Who signs certificates; none where anybody will do.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it must be this very server's.
    checks_name: bool,
}

impl Verifier {
    fn anybody(provider: &Arc<CryptoProvider>) -> Self {
        Self { provider: Arc::clone(provider), authorities: None, checks_name: false }
    }

    fn known(
        provider: &Arc<CryptoProvider>,
        roots: RootCertStore,
        checks_name: bool,
    ) -> Result<Self, DatabaseUrlError> {
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let authorities = builder.build().map_err(|error| DatabaseUrlError::Tls(error.into()))?;
        Ok(Self { provider: Arc::clone(provider), authorities: Some(authorities), checks_name })
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authorities) = &self.authorities else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // The name is looked at last: all else was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}
