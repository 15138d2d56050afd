//! The cluster's certificates: an authority, and what it signs.
//!
//! ECDSA keys on P-256: made in well under a millisecond, known to every client. Files are `keys`' business.

use crate::certificate_request::Requested;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    DistinguishedName, DnType, DnValue, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber,
};
use ring::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How long certificates hold: upstream's kubeadm gives a year to what is handed out, ten to the authority.
pub(crate) const DAYS: i64 = 365;

/// How long before now certificates for requests begin to hold.
const BACK_SECONDS: u64 = 300;

/// A certificate and its key, as text and as bytes.
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The key.
    pub key_pem: String,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Identity {
    /// Without the key: debug output ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads an identity from its two texts.
    pub(crate) fn from_pem(certificate_pem: String, key_pem: String) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let certificate = certificate.map_err(|error| format!("the certificate: {error}"))?;
        let key = KeyPair::from_pem(&key_pem).map_err(|error| format!("the key: {error}"))?;
        belongs(&certificate, &key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Self { certificate_pem, key_pem, certificate, key })
    }

    /// Until when the certificate holds, in seconds of Unix time.
    pub(crate) fn until(&self) -> i64 {
        let parsed = X509Certificate::from_der(&self.certificate);
        parsed.map_or(0, |(_, certificate)| certificate.validity().not_after.timestamp())
    }
}

/// A key must be the certificate's own; a pair that was mixed up would be noticed only by clients.
fn belongs(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<(), String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("the certificate: {error}"))?;
    if parsed.public_key().raw == key.subject_public_key_info() {
        Ok(())
    } else {
        Err("the key is not that of the certificate".to_owned())
    }
}

fn pin_of(public_key: &[u8]) -> String {
    format!("sha256:{}", crate::stamp::hex(digest(&SHA256, public_key).as_ref()))
}

/// By what an authority's certificate (PEM) is known to who was told before: `sha256:` and the digest of its public key.
///
/// Errors: the text is no certificate.
pub fn authority_pin(pem: &str) -> Result<String, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string())?;
    let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    Ok(pin_of(parsed.public_key().raw))
}

/// A new key, and a request with which its holder asks to be `user` in `group`; both PEM.
///
/// Errors: no key can be made.
pub fn request_for(user: &str, group: &str) -> Result<(String, String), String> {
    let made = || {
        let key = KeyPair::generate()?;
        // Who signs decides how long it holds; a request has no place for that.
        let mut asked = CertificateParams::default();
        asked.distinguished_name = params(user, Some(group), 1).distinguished_name;
        let request = asked.serialize_request(&key)?.pem()?;
        Ok((key.serialize_pem(), request))
    };
    made().map_err(|error: Error| error.to_string())
}

/// The cluster's certificate authority.
pub(crate) struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    pub(crate) fn new() -> Result<Self, String> {
        let mut params = params("kubernetes", None, 10 * DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let made = || {
            let key = KeyPair::generate()?;
            let text = key.serialize_pem();
            Ok((CertifiedIssuer::self_signed(params, key)?.pem(), text))
        };
        let (certificate, key) = made().map_err(|error: Error| error.to_string())?;
        Self::from_pem(certificate, &key)
    }

    /// Reads an authority from its two texts.
    pub(crate) fn from_pem(pem: String, key: &str) -> Result<Self, String> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| format!("the certificate: {error}"))?;
        let key = KeyPair::from_pem(key).map_err(|error| format!("the key: {error}"))?;
        belongs(&der, &key)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| format!("the certificate: {error}"))?;
        if !parsed.is_ca() {
            return Err("the certificate is not that of an authority".to_owned());
        }
        let until = parsed.validity().not_after;
        if until.timestamp() < jiff::Timestamp::now().as_second() {
            return Err(format!("the certificate held until {until}"));
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| error.to_string())?;
        Ok(Self { pem, der, issuer })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// `sha256:` and the digest of the public key (the certificate's SubjectPublicKeyInfo).
    pub(crate) fn pin(&self) -> String {
        pin_of(&self.issuer.key().subject_public_key_info())
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.der.clone()
    }

    /// Whether it signed a client's certificate, which holds now.
    pub(crate) fn signed(&self, client: &Identity) -> bool {
        let mut roots = RootCertStore::empty();
        let verifier = roots.add(self.der()).ok().and_then(|()| {
            let provider = Arc::new(default_provider());
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
        });
        verifier.is_some_and(|verifier| {
            verifier.verify_client_cert(&client.certificate, &[], UnixTime::now()).is_ok()
        })
    }

    /// A certificate for the server under its names and addresses.
    pub(crate) fn server(&self, names: &[&str], addresses: &[IpAddr]) -> Result<Identity, Error> {
        let mut params = params("kube-apiserver", None, DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        self.sign(params)
    }

    /// A certificate by which a client is `user` in a group, for so many days.
    pub(crate) fn client(
        &self,
        user: &str,
        group: Option<&str>,
        days: i64,
    ) -> Result<Identity, Error> {
        let mut params = params(user, group, days);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A certificate for what a request (PEM) asks for, with other usages and times than it may ask for.
    pub(crate) fn sign_request(
        &self,
        request: &str,
        usages: &[&str],
        seconds: i64,
    ) -> Result<String, String> {
        // Names with several groups lose all but one on the way.
        if 1 < Requested::read(request)?.organizations.len() {
            return Err("a request for several groups is not signed by this cluster".to_owned());
        }
        let mut request = CertificateSigningRequestParams::from_pem(request)
            .map_err(|error| error.to_string())?;
        let mut fresh = params("", None, 1);
        std::mem::swap(&mut request.params, &mut fresh);
        let (asked, params) = (fresh, &mut request.params);
        params.distinguished_name = asked.distinguished_name;
        params.subject_alt_names = asked.subject_alt_names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        let now = jiff::Timestamp::now().as_second().unsigned_abs();
        let at = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        // Some minutes back, for machines whose clocks are behind.
        params.not_before = at(now.saturating_sub(BACK_SECONDS));
        params.not_after = at(now.saturating_add(seconds.max(0).unsigned_abs()));
        for usage in usages {
            match *usage {
                "digital signature" | "signing" => {
                    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
                }
                "key encipherment" => {
                    params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
                }
                "client auth" => {
                    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
                }
                "server auth" => {
                    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
                }
                other => return Err(format!("usage {other:?} is not signed by this cluster")),
            }
        }
        let certificate = request.signed_by(&self.issuer).map_err(|error| error.to_string())?;
        Ok(certificate.pem())
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity, Error> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn params(common_name: &str, organization: Option<&str>, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, DnValue::Utf8String(organization.to_owned()));
    }
    name.push(DnType::CommonName, DnValue::Utf8String(common_name.to_owned()));
    params.distinguished_name = name;
    let mut serial = crate::stamp::random::<16>();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    // A day back, for clients whose clocks are behind.
    let (year, month, day) = date(days.min(0) - 1);
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(days);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    params
}

/// The year, month and day so many days from now.
fn date(days: i64) -> (i32, u8, u8) {
    let now = jiff::Timestamp::now();
    let then = now.checked_add(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let date = then.to_zoned(jiff::tz::TimeZone::UTC).date();
    let small = |part: i8| u8::try_from(part).unwrap_or(1);
    (i32::from(date.year()), small(date.month()), small(date.day()))
}
