//! Advice on exchanges that failed.

use rxon::{Error, ErrorKind};

/// Signs in an error of TLS, of which one is enough, and the advice for them. The signs are words of rustls, whose error
/// types are not public here.
const TLS_ADVICE: [(&[&str], &str); 4] = [
    (
        &[
            "alert: CertificateRequired",
            "alert: CertificateExpired",
            "alert: CertificateUnknown",
            "alert: BadCertificate",
            "alert: UnknownCA",
            "alert: AccessDenied",
            // The certificate is from an authority that only has the name of the right one.
            "alert: DecryptError",
        ],
        "the orchestrator does not accept this worker's certificate: check `TLS_CERT_PATH` (set, not expired, issued by \
         an authority that it trusts, with the worker's id as its common name)",
    ),
    (&["UnknownIssuer"], "set `TLS_CA_PATH` to the authority that issued the orchestrator's certificate"),
    (
        &["certificate expired", "certificate not valid yet"],
        "the orchestrator's certificate has to be renewed, unless this machine's clock is wrong",
    ),
    (
        &["not valid for name"],
        "the address in `ORCHESTRATOR_URL` is not one that the orchestrator's certificate is valid for",
    ),
];

/// Returns the text of an error with all its sources, and with advice if there is some.
pub(super) fn explained(error: &Error) -> String {
    let chain = error.chain().to_string();
    let is_tls = error.kind() == ErrorKind::Tls;
    let applies = |(signs, _): &&(&[&str], _)| is_tls && signs.iter().any(|sign| chain.contains(sign));
    match TLS_ADVICE.iter().find(applies) {
        Some((_, advice)) => format!("{chain}; {advice}"),
        None => chain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_tls_are_explained() {
        let text = "received fatal alert: UnknownCA";
        let said = |kind| explained(&Error::new(kind, text));
        assert!(said(ErrorKind::Tls).contains("check `TLS_CERT_PATH`"));
        assert_eq!(said(ErrorKind::Closed), format!("the connection was closed: {text}"));
        let other = Error::new(ErrorKind::Tls, "received fatal alert: HandshakeFailure");
        assert_eq!(explained(&other), other.to_string());
    }
}
