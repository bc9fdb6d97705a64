//! Advice on exchanges that failed.

use std::fmt;

use rxon::{Error, ErrorKind};

/// Prints an error with all its sources, and with advice if there is some.
pub(crate) struct Explained<'a>(pub(crate) &'a Error);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.0.chain().to_string();
        formatter.write_str(&chain)?;
        if self.0.kind() == ErrorKind::Tls
            && let Some(advice) = tls_advice(&chain)
        {
            write!(formatter, "; {advice}")?;
        }
        Ok(())
    }
}

/// Advice by the words of rustls, whose error types are not public here.
fn tls_advice(chain: &str) -> Option<&'static str> {
    const ABOUT_OUR_CERTIFICATE: [&str; 7] = [
        "alert: CertificateRequired",
        "alert: CertificateExpired",
        "alert: CertificateUnknown",
        "alert: BadCertificate",
        "alert: UnknownCA",
        "alert: AccessDenied",
        // The certificate is from an authority that only has the name of the right one.
        "alert: DecryptError",
    ];
    let says = |text: &str| chain.contains(text);
    if ABOUT_OUR_CERTIFICATE.into_iter().any(says) {
        return Some(
            "the orchestrator does not accept this worker's certificate: check `TLS_CERT_PATH` (set, not expired, \
             issued by an authority that it trusts, with the worker's id as its common name)",
        );
    }
    if says("UnknownIssuer") {
        return Some("set `TLS_CA_PATH` to the authority that issued the orchestrator's certificate");
    }
    if says("certificate expired") || says("certificate not valid yet") {
        return Some(
            "the orchestrator's certificate has to be renewed, unless this machine's clock is wrong",
        );
    }
    if says("not valid for name") {
        return Some(
            "the address in `ORCHESTRATOR_URL` is not one that the orchestrator's certificate is valid for",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_tls_are_explained() {
        let text = "received fatal alert: UnknownCA";
        let said = |kind| Explained(&Error::new(kind, text)).to_string();
        assert!(said(ErrorKind::Tls).contains("check `TLS_CERT_PATH`"));
        assert_eq!(said(ErrorKind::Closed), format!("the connection was closed: {text}"));
        let other = Error::new(ErrorKind::Tls, "received fatal alert: HandshakeFailure");
        assert_eq!(Explained(&other).to_string(), other.to_string());
    }
}
