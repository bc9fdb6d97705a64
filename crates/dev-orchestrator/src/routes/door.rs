//! Protection against web pages of other sites.
//!
//! A page in a browser on this machine can send requests to the orchestrator. But it cannot send JSON to another site
//! without that site's permission, which is never given. And if it makes its own host name point to this machine, it
//! cannot send any other name in `Host`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Desk;
use crate::refusal::Refusal;

/// Refuses requests whose `Host` is not a name of ours. Workers that know the token may use any name.
pub(super) async fn only_own_names(
    State(desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let knows_token = request.uri().path().starts_with("/_worker/") && desk.hub.settings.token.is_some();
    if !knows_token {
        check_host(&desk, &request)?;
    }
    Ok(next.run(request).await)
}

/// Refuses requests that a form or a script of another site could send.
pub(super) async fn only_json_posts(
    State(_desk): State<Arc<Desk>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if request.method() == Method::POST {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "`Content-Type` is `{}`, expected `application/json`",
                    crate::text::cut(content_type.unwrap_or_default(), 100)
                ),
            ));
        }
    }
    Ok(next.run(request).await)
}

fn check_host(desk: &Desk, request: &Request) -> Result<(), Refusal> {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
    for host in [header, authority].into_iter().flatten() {
        if !is_own(desk, host) {
            return Err(Refusal::forbidden(format!(
                "`Host` is `{}`, expected `localhost`, a loopback address, `{}` or a name allowed in the settings",
                crate::text::cut(host, 100),
                desk.address
            )));
        }
    }
    if header.is_none() && authority.is_none() {
        return Err(Refusal::forbidden("the header `Host` is missing"));
    }
    Ok(())
}

fn is_own(desk: &Desk, host: &str) -> bool {
    let name = without_port(host);
    if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        let own = desk.address.ip();
        // A foreign page has a name, never an address; so if we listen on all addresses, any address is accepted.
        return address.is_loopback() || address == own || own.is_unspecified();
    }
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || desk.hub.settings.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::auth::Auth;
    use crate::hub::Hub;
    use crate::settings::Settings;

    fn desk(address: &str) -> Desk {
        let settings = Settings::new().with_allowed_host("orchestrator");
        let address = address.parse().expect("an address");
        Desk { hub: Hub::new(settings), auth: Auth::new(None), address, tasks: TaskTracker::new() }
    }

    #[test]
    fn loopback_the_bound_address_and_allowed_names_are_ours() {
        let desk = desk("192.168.1.5:8080");
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:1",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:8080",
            "[::1]",
            "192.168.1.5:8080",
            "Orchestrator:8080",
        ] {
            assert!(is_own(&desk, own), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8080",
            "192.168.1.6",
            "localhost.evil.example",
            "",
            ":",
            "0.0.0.0",
            "a@localhost",
        ] {
            assert!(!is_own(&desk, foreign), "{foreign}");
        }
    }

    #[test]
    fn an_orchestrator_on_all_addresses_accepts_any_address_but_no_foreign_name() {
        let desk = desk("0.0.0.0:8080");
        assert!(is_own(&desk, "10.0.0.7:8080") && is_own(&desk, "[fe80::1]:8080"));
        assert!(!is_own(&desk, "evil.example:8080"));
    }
}
