//! The cookies of one orchestrator: a gateway in front of it may need them to find the same server again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderValue};

use super::address::OrchestratorUrl;
use crate::secrets::Secrets;

/// The maximal number of cookies; beyond it the oldest are forgotten.
const MAX_COOKIES: usize = 50;

/// The maximal size of a cookie's name and value in bytes. A larger cookie is ignored, as by browsers.
const MAX_SIZE: usize = 4096;

/// The maximal size of the header `Cookie` in bytes: servers refuse long headers. Cookies beyond it are not sent.
const MAX_HEADER: usize = 6 << 10;

/// The length in bytes from which a cookie's value is a secret. A shorter one names a server, as `SERVERID=server1` does, and
/// would be masked wherever the name stands.
const MIN_SECRET: usize = 16;

/// The interval at which values that changed are registered as secrets: some gateways change them with every answer, and
/// each registration rebuilds the search for all secrets of the process.
const REGISTER_INTERVAL: Duration = Duration::from_secs(10);

/// A jar of cookies, in memory. It follows RFC 6265 for a single host.
#[derive(Debug)]
pub(super) struct Jar {
    is_secure: bool,
    host: String,
    /// Whether a cookie was ever set: mostly none is, and then nothing else is looked at.
    is_used: AtomicBool,
    content: Mutex<Content>,
}

#[derive(Debug)]
struct Content {
    /// The oldest first.
    cookies: Vec<Cookie>,
    /// The values of 16 bytes or more, which are never shown; up to 10 s late if only they have changed.
    secrets: Secrets,
    /// The names of the cookies whose values were registered last, and when.
    registered: (Vec<String>, SystemTime),
    /// Whether values may have changed since.
    has_news: bool,
}

impl Content {
    /// Registers the values as secrets: at once if there are other cookies, else after the interval.
    fn register(&mut self, now: SystemTime) {
        let (names, at) = &self.registered;
        // A clock that was set back says nothing.
        let is_due = now.duration_since(*at).map_or(true, |since| since >= REGISTER_INTERVAL);
        if !self.has_news || !is_due && self.cookies.iter().map(|cookie| &cookie.name).eq(names) {
            return;
        }
        self.has_news = false;
        self.registered = (self.cookies.iter().map(|cookie| cookie.name.clone()).collect(), now);
        let values = self.cookies.iter().map(|cookie| &cookie.value);
        self.secrets.replace(values.filter(|value| value.len() >= MIN_SECRET).cloned());
    }
}

struct Cookie {
    name: String,
    value: String,
    path: String,
    expires: Option<SystemTime>,
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Cookie({})", self.name)
    }
}

impl Jar {
    pub(super) fn new(url: &OrchestratorUrl) -> Self {
        let content = Content {
            cookies: Vec::new(),
            secrets: Secrets::new([]),
            registered: (Vec::new(), SystemTime::UNIX_EPOCH),
            has_news: false,
        };
        Self {
            is_secure: url.is_secure(),
            host: url.host().to_ascii_lowercase(),
            is_used: AtomicBool::new(false),
            content: Mutex::new(content),
        }
    }

    /// Takes the cookies of an answer to a request for this path.
    pub(super) fn take(&self, headers: &HeaderMap, path: &str) {
        if has_cookies(headers) {
            self.take_at(headers, path, SystemTime::now());
        }
    }

    /// Returns the header `Cookie` of a request for this path, if there are cookies for it.
    pub(super) fn header(&self, path: &str) -> Option<HeaderValue> {
        self.is_used.load(Ordering::Relaxed).then(|| self.header_at(path, SystemTime::now())).flatten()
    }

    fn take_at(&self, headers: &HeaderMap, path: &str, now: SystemTime) {
        self.is_used.store(true, Ordering::Relaxed);
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        for value in headers.get_all(header::SET_COOKIE) {
            let Some(cookie) = value.to_str().ok().and_then(|text| self.parse(text, path, now)) else {
                continue;
            };
            let cookies = &mut content.cookies;
            match cookies.iter().position(|known| known.name == cookie.name && known.path == cookie.path) {
                _ if cookie.is_over(now) => {
                    cookies.retain(|known| known.name != cookie.name || known.path != cookie.path);
                }
                Some(index) => cookies[index] = cookie,
                None => cookies.push(cookie),
            }
        }
        content.cookies.retain(|cookie| !cookie.is_over(now));
        let surplus = content.cookies.len().saturating_sub(MAX_COOKIES);
        content.cookies.drain(..surplus);
        content.has_news = true;
        content.register(now);
    }

    fn header_at(&self, path: &str, now: SystemTime) -> Option<HeaderValue> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.register(now);
        if content.cookies.is_empty() {
            return None;
        }
        let sent = |cookie: &&Cookie| !cookie.is_over(now) && covers(&cookie.path, path);
        let mut cookies: Vec<_> = content.cookies.iter().filter(sent).collect();
        // Those of longer paths first, as RFC 6265 says.
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut text = String::new();
        for Cookie { name, value, .. } in cookies {
            if text.len() + name.len() + value.len() + 3 > MAX_HEADER {
                continue;
            }
            let separator = if text.is_empty() { "" } else { "; " };
            text.extend([separator, name, "=", value]);
        }
        let mut value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Reads a header `Set-Cookie`. Returns `None` for a cookie that is not meant for this host, or never sent to it.
    fn parse(&self, text: &str, path: &str, now: SystemTime) -> Option<Cookie> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || name.len() + value.len() > MAX_SIZE {
            return None;
        }
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: folder(path).to_owned(),
            expires: None,
        };
        let (mut max_age, mut is_secure) = (None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => folder(path).clone_into(&mut cookie.path),
                "domain" if !self.is_in(value) => return None,
                "secure" => is_secure = true,
                "expires" => cookie.expires = date(value).or(cookie.expires),
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            // A time beyond the clock's range is no limit.
            cookie.expires = match u64::try_from(seconds) {
                Ok(0) | Err(_) => Some(SystemTime::UNIX_EPOCH),
                Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
            };
        }
        (self.is_secure || !is_secure).then_some(cookie)
    }

    /// Returns whether the host is this domain, or in it.
    fn is_in(&self, domain: &str) -> bool {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        let rest = self.host.strip_suffix(domain.as_str());
        let is_name = self.host.parse::<std::net::IpAddr>().is_err();
        domain.is_empty() || rest.is_some_and(|rest| rest.is_empty() || is_name && rest.ends_with('.'))
    }
}

/// Returns whether an answer sets cookies.
pub(super) fn has_cookies(headers: &HeaderMap) -> bool {
    headers.contains_key(header::SET_COOKIE)
}

impl Cookie {
    fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Returns the path up to its last slash, which cookies without a path of their own have.
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

/// Returns whether a cookie of the path `of` is sent to `path`.
fn covers(of: &str, path: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || of.ends_with('/') || rest.starts_with('/'))
}

/// Reads a date, also in the old form with hyphens.
fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).or_else(|_| httpdate::parse_http_date(&text.replace('-', " "))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/api/_worker/tasks/result";

    fn now() -> SystemTime {
        httpdate::parse_http_date("Fri, 06 Nov 2026 08:49:37 GMT").expect("a date")
    }

    /// What a jar sends to `path` after an answer to a request for [`PATH`] that set these cookies.
    fn sent(url: &str, set: &[&str], path: &str) -> String {
        let jar = Jar::new(&url.parse().expect("an address"));
        take(&jar, set);
        text(&jar, path, now())
    }

    fn take(jar: &Jar, set: &[&str]) {
        let value = |text: &&str| (header::SET_COOKIE, HeaderValue::try_from(*text).expect("a header"));
        jar.take_at(&set.iter().map(value).collect(), PATH, now());
    }

    fn text(jar: &Jar, path: &str, now: SystemTime) -> String {
        let header = jar.header_at(path, now);
        assert!(header.as_ref().is_none_or(HeaderValue::is_sensitive));
        header.map_or_else(String::new, |value| value.to_str().expect("a text").to_owned())
    }

    #[test]
    fn cookies_are_sent_back_where_they_belong() {
        const HTTP: &str = "http://gate.example.com/api";
        for (set, path, expected) in [
            (&["route=a; Path=/; HttpOnly; SameSite=Lax"][..], "/x", "route=a"),
            (&["a=1; Path=/", "b=2; path=/api", "a=3; Path=/"], "/api/x", "b=2; a=3"),
            (&["a=1"], "/api/_worker/tasks/next", "a=1"),
            (&["a=1"], "/api/_worker/workers/w", ""),
            (&["a=1; Path=/api"], "/apis", ""),
            (&["a=1; Path=api"], PATH, "a=1"),
            (&["a=1; Path=/; Domain=.example.com", "b=1; Path=/; Domain=other.com"], "/", "a=1"),
            (&["a=1; Path=/; Domain=ample.com"], "/", ""),
            (&["a=1; Path=/; Secure"], "/", ""),
            (&["a=1; Path=/; Max-Age=0"], "/", ""),
            (&["a=1; Path=/", "a=; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], "/", ""),
            (&["a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"], "/", "a=1"),
            (&["a=1; Path=/; Expires=soon; Max-Age=99999999999999999"], "/", "a=1"),
            (&["a=x=y==; Path=/"], "/", "a=x=y=="),
            (&["nothing", "=1", ""], "/", ""),
        ] {
            assert_eq!(sent(HTTP, set, path), expected, "{set:?} {path}");
        }
        assert_eq!(sent("https://10.0.0.1", &["a=1; Path=/; Secure"], "/"), "a=1");
        assert_eq!(sent("http://10.0.0.1", &["a=1; Path=/; Domain=0.0.1", "b=1; Path=/"], "/"), "b=1");
    }

    #[test]
    fn cookies_end_and_are_bounded() {
        let jar = Jar::new(&"http://h".parse().expect("an address"));
        take(&jar, &["a=1; Path=/; Max-Age=60", &format!("b={}; Path=/", "x".repeat(MAX_SIZE))]);
        assert_eq!(text(&jar, "/", now() + Duration::from_secs(59)), "a=1");
        assert_eq!(text(&jar, "/", now() + Duration::from_secs(60)), "");
        for number in 0..200 {
            take(&jar, &[&format!("c{number}={}; Path=/", "x".repeat(1000))]);
        }
        assert_eq!(jar.content.lock().expect("no panic").cookies.len(), MAX_COOKIES);
        let header = text(&jar, "/", now());
        assert!((MAX_HEADER - 1100..MAX_HEADER).contains(&header.len()), "{}", header.len());
    }

    #[test]
    fn values_are_secrets() {
        let jar = Jar::new(&"http://h".parse().expect("an address"));
        take(&jar, &["session=cookie-value-0001; Path=/", "SERVERID=server1; Path=/"]);
        assert_eq!(crate::secrets::masked("got cookie-value-0001 of server1"), "got *** of server1");
        assert!(!format!("{jar:?}").contains("cookie-value"), "{jar:?}");
    }

    #[test]
    fn values_that_change_with_every_answer_are_registered_now_and_then() {
        let jar = Jar::new(&"http://h".parse().expect("an address"));
        let masked = |number| crate::secrets::masked(&format!("changing-value-{number:04}")) == "***";
        let set = |number| take(&jar, &[&format!("a=changing-value-{number:04}; Path=/")]);
        set(1);
        assert!(masked(1));
        (2..100).for_each(set);
        assert!(masked(1) && !masked(99));
        text(&jar, "/", now() + REGISTER_INTERVAL);
        assert!(masked(99) && !masked(1));
        set(100);
        take(&jar, &["b=another-value-0001; Path=/"]);
        assert!(masked(100), "another name");
    }
}
