//! The cluster's certificates: an authority made at start, and what it signs.
//!
//! ECDSA keys on P-256: made in well under a millisecond, known to every client. Nothing is read from or written to the disk here.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, DnValue,
    Error, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;

/// How long certificates hold: upstream's kubeadm gives a year to what is handed out, ten to the authority.
const DAYS: i64 = 365;

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

/// The cluster's certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    pub(crate) fn new() -> Result<Self, Error> {
        let mut params = params("kubernetes", None, 10 * DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
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

    /// A certificate by which a client is `user` in a group.
    pub(crate) fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, Error> {
        let mut params = params(user, group, DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
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
    let (year, month, day) = date(-1);
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
