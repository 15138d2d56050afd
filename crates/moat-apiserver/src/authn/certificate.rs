//! Certificates of clients. TLS proves only that a client has the key; whose certificate it is, is decided here, so that one of another
//! cluster is answered 401, as upstream does, instead of a connection that breaks.

use crate::authorize::User;
use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Lets every certificate through TLS whose key the client has.
#[derive(Debug)]
pub(crate) struct Anybody(pub(crate) Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// What a connection says of who is at its other end.
#[derive(Debug)]
pub(crate) enum Peer {
    /// Nothing.
    Unknown,
    /// Something that is not to be believed.
    Refused,
    /// A user, until a second of Unix time.
    Known(Box<User>, i64),
}

impl Peer {
    /// Whom a chain of certificates names, if the authority behind `verifier` signed for them.
    pub(crate) fn of(
        chain: Option<&[CertificateDer<'_>]>,
        verifier: &dyn ClientCertVerifier,
        now: jiff::Timestamp,
    ) -> Self {
        let Some((own, others)) = chain.and_then(<[_]>::split_first) else { return Self::Unknown };
        let since = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
        let time = UnixTime::since_unix_epoch(since);
        if verifier.verify_client_cert(own, others, time).is_err() {
            return Self::Refused;
        }
        match user_of(own) {
            Some((user, until)) => Self::Known(Box::new(user), until),
            None => Self::Refused,
        }
    }

    /// The user now: connections live longer than certificates may.
    pub(crate) fn user(&self, now: jiff::Timestamp) -> Result<Option<&User>, ()> {
        match self {
            Self::Unknown => Ok(None),
            Self::Known(user, until) if now.as_second() <= *until => Ok(Some(user)),
            Self::Known(..) | Self::Refused => Err(()),
        }
    }
}

/// The user of a certificate: common name and organizations; and until when it holds.
fn user_of(der: &CertificateDer<'_>) -> Option<(User, i64)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    let mut user = User::authenticated(name, groups.map(str::to_owned));
    let hex = crate::stamp::hex(digest(&SHA256, der).as_ref());
    let credential = (
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("X509SHA256={hex}")],
    );
    user.extra.extend([credential]);
    (!name.is_empty()).then(|| (user, certificate.validity().not_after.timestamp()))
}
