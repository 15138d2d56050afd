//! Requests for certificates (PKCS #10), as clients put them into a `CertificateSigningRequest`.

use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509CertificationRequest};

/// Whom a request names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requested {
    /// The user, or the node.
    pub common_name: String,
    /// The groups.
    pub organizations: Vec<String>,
    /// Alternative names that are names of hosts.
    pub dns: Vec<String>,
    /// How many alternative names are addresses.
    pub n_addresses: usize,
    /// Whether alternative names are of mail.
    pub has_mail: bool,
    /// Whether alternative names are URIs.
    pub has_uris: bool,
}

impl Requested {
    /// Reads a request from its PEM text.
    ///
    /// Errors: it is none, in upstream's words where they are known.
    pub fn read(pem: &str) -> Result<Self, String> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| "PEM block type must be CERTIFICATE REQUEST".to_owned())?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("bytes follow the request".to_owned());
        }
        let subject = &request.certification_request_info.subject;
        let text = |part: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            part.as_str().map(str::to_owned).map_err(|error| error.to_string())
        };
        let mut asked = Self::default();
        if let Some(name) = subject.iter_common_name().next() {
            asked.common_name = text(name)?;
        }
        asked.organizations = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
            for name in &names.general_names {
                match name {
                    GeneralName::DNSName(name) => asked.dns.push((*name).to_owned()),
                    GeneralName::IPAddress(_) => asked.n_addresses += 1,
                    GeneralName::RFC822Name(_) => asked.has_mail = true,
                    GeneralName::URI(_) => asked.has_uris = true,
                    other => return Err(format!("an alternative name of another kind: {other:?}")),
                }
            }
        }
        Ok(asked)
    }
}
