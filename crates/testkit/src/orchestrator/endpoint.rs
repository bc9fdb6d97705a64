//! The endpoints of the protocol.

/// An endpoint of the protocol that workers call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /_worker/workers/register`
    Register,
    /// `PATCH /_worker/workers/{id}`
    Heartbeat,
    /// `GET /_worker/workers/{id}/tasks/next`
    Poll,
    /// `POST /_worker/tasks/result`
    Result,
    /// `POST /_worker/events`
    Event,
    /// `POST /_worker/auth/token`
    Token,
    /// `POST /_worker/auth/token/refresh`
    TokenRefresh,
    /// `GET /_worker/ws` or `GET /_worker/ws/{id}`
    WebSocket,
    /// Any other request.
    Other,
}

impl Endpoint {
    /// Every endpoint, in the order of its number.
    pub const ALL: [Self; 9] = [
        Self::Register,
        Self::Heartbeat,
        Self::Poll,
        Self::Result,
        Self::Event,
        Self::Token,
        Self::TokenRefresh,
        Self::WebSocket,
        Self::Other,
    ];

    /// Finds the endpoint of a request, and the worker's id if the path has one.
    /// The part before `/_worker` is a prefix of the installation and is ignored.
    pub(crate) fn of<'a>(method: &str, path: &'a str) -> (Self, Option<&'a str>) {
        let route = path.find("/_worker/").map_or("", |start| &path[start + "/_worker/".len()..]);
        match (method, route) {
            ("POST", "tasks/result") => (Self::Result, None),
            ("POST", "events") => (Self::Event, None),
            ("POST", "workers/register") => (Self::Register, None),
            ("POST", "auth/token") => (Self::Token, None),
            ("POST", "auth/token/refresh") => (Self::TokenRefresh, None),
            ("GET", "ws") => (Self::WebSocket, None),
            _ => Self::of_worker(method, route).unwrap_or((Self::Other, None)),
        }
    }

    fn of_worker<'a>(method: &str, route: &'a str) -> Option<(Self, Option<&'a str>)> {
        if let Some(worker) = route.strip_prefix("ws/") {
            let plain = method == "GET" && is_segment(worker);
            return plain.then_some((Self::WebSocket, Some(worker)));
        }
        let worker = route.strip_prefix("workers/")?;
        let (endpoint, worker) = match method {
            "GET" => (Self::Poll, worker.strip_suffix("/tasks/next")?),
            "PATCH" => (Self::Heartbeat, worker),
            _ => return None,
        };
        is_segment(worker).then_some((endpoint, Some(worker)))
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_its_endpoint() {
        let table = [
            ("POST", "/_worker/workers/register", Endpoint::Register, None),
            ("PATCH", "/_worker/workers/w1", Endpoint::Heartbeat, Some("w1")),
            ("GET", "/some/prefix/_worker/workers/w1/tasks/next", Endpoint::Poll, Some("w1")),
            ("POST", "/_worker/tasks/result", Endpoint::Result, None),
            ("POST", "/_worker/events", Endpoint::Event, None),
            ("POST", "/_worker/auth/token", Endpoint::Token, None),
            ("POST", "/_worker/auth/token/refresh", Endpoint::TokenRefresh, None),
            ("GET", "/_worker/ws", Endpoint::WebSocket, None),
            ("GET", "/_worker/ws/w1", Endpoint::WebSocket, Some("w1")),
            ("DELETE", "/_worker/workers/w1", Endpoint::Other, None),
            ("GET", "/_worker/workers//tasks/next", Endpoint::Other, None),
            ("GET", "/_worker/ws/", Endpoint::Other, None),
            ("GET", "/", Endpoint::Other, None),
        ];
        for (method, path, endpoint, worker) in table {
            assert_eq!(Endpoint::of(method, path), (endpoint, worker), "{method} {path}");
        }
    }

    #[test]
    fn the_numbers_follow_the_list() {
        for (number, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, number);
        }
    }
}
