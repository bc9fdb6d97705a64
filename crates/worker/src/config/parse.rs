//! Values from text: for each kind of option, the values that are accepted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::text::excerpt;
use rxon::transport::http::{OrchestratorUrl, Proxies, Token};

use super::choices::Named;
use super::secret::{Address, Secret};

/// The values that an option accepts: in words, for documentation and errors, and as the function that reads them.
pub(crate) struct Accepts<T> {
    pub(crate) text: &'static str,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

/// The reason why a text is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The exact fault, where there is more to say than what is accepted.
    pub(super) detail: Option<String>,
    /// Whether a variable with this fault counts as not set, with a warning, as in the reference.
    pub(super) lenient: bool,
}

impl Wrong {
    pub(super) fn value() -> Self {
        Self { detail: None, lenient: false }
    }

    pub(super) fn detail(detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), lenient: false }
    }

    pub(super) fn ignored(error: &serde_json::Error) -> Self {
        Self { detail: Some(excerpt(error.to_string())), lenient: true }
    }
}

/// One of the names of a type's values, in any case.
pub(super) const fn one_of<T: Named>() -> Accepts<T> {
    Accepts {
        text: T::ACCEPTED,
        parse: |text| {
            let text = text.trim();
            let found = T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            found.map(|(_, value)| *value).ok_or_else(Wrong::value)
        },
    }
}

pub(super) const WORKER_ID: Accepts<WorkerId> = Accepts {
    text: "1 to 128 characters of `a-z A-Z 0-9 _ -`",
    parse: |text| WorkerId::new(text.trim()).map_err(|_| Wrong::value()),
};

pub(super) const TEXT: Accepts<String> = Accepts {
    text: "text",
    parse: |text| if text.trim().is_empty() { Err(Wrong::value()) } else { Ok(text.into()) },
};

/// The accepted keys of a storage: they are sent in headers.
pub(crate) const KEY: &str = "a key of visible ASCII characters, without spaces or line ends around it";

pub(crate) fn is_key(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

pub(super) const STORAGE_KEY: Accepts<Secret> = Accepts {
    text: KEY,
    parse: |text| if is_key(text) { Ok(Secret::new(text)) } else { Err(Wrong::value()) },
};

pub(super) const REGION: Accepts<String> = Accepts {
    text: "the name of a region such as `us-east-1`",
    parse: |text| {
        let name = text.trim();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if is_name { Ok(name.to_owned()) } else { Err(Wrong::value()) }
    },
};

pub(super) const SECRET: Accepts<Secret> = Accepts { text: "text", parse: |text| Ok(Secret::new(text)) };

pub(super) const TOKEN: Accepts<Secret> = Accepts {
    text: "a token without control characters",
    parse: |text| match Token::new(text) {
        Ok(_) => Ok(Secret::new(text)),
        Err(_) => Err(Wrong::value()),
    },
};

pub(super) const PATH: Accepts<PathBuf> = Accepts {
    text: "a path",
    parse: |text| if text.is_empty() { Err(Wrong::value()) } else { Ok(text.into()) },
};

pub(super) const HOST: Accepts<IpAddr> = Accepts {
    text: "an IP address or `localhost`",
    parse: |text| match text.trim() {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        address => address.parse().map_err(|_| Wrong::value()),
    },
};

pub(super) const ORCHESTRATOR: Accepts<OrchestratorUrl> = Accepts {
    text: "the address of an orchestrator such as `http://host:8080` or `https://host/prefix`",
    parse: |text| orchestrator(text).map_err(Wrong::detail),
};

/// Parses an orchestrator's address.
///
/// # Errors
/// The expected form of an address.
pub(super) fn orchestrator(text: &str) -> Result<OrchestratorUrl, &'static str> {
    text.parse().map_err(|error: rxon::transport::http::InvalidAddress| error.expected)
}

pub(super) const STORAGE: Accepts<Address> = Accepts {
    text: "the address of a storage such as `https://s3.example.com` or `http://host:9000`",
    parse: |text| {
        let web = text.trim().to_lowercase().starts_with("http");
        orchestrator(text).ok().filter(|_| web).map(|_| text.trim().into()).ok_or_else(Wrong::value)
    },
};

pub(super) const PROXY: Accepts<Address> = Accepts {
    text: "the address of an http proxy such as `http://proxy:3128`",
    parse: |text| match Proxies::read(|name| (name == "HTTP_PROXY").then(|| text.to_owned())) {
        Ok(_) => Ok(Address::new(text)),
        Err(_) => Err(Wrong::value()),
    },
};

pub(super) const NO_PROXY: Accepts<String> = Accepts {
    text: "host names, suffixes, addresses and networks such as `10.0.0.0/8`, separated by commas, or `*`",
    parse: TEXT.parse,
};

pub(super) const PORT: Accepts<u16> =
    Accepts { text: "a port, 0 to 65535", parse: |text| text.trim().parse().map_err(|_| Wrong::value()) };

// The macros below make the text and the check of the same literals, so that a range stands once.

/// A whole number in a range.
macro_rules! whole {
    ($low:literal to $high:literal) => {
        $crate::config::parse::Accepts {
            text: concat!("a whole number, ", $low, " to ", $high),
            parse: |text| $crate::config::parse::whole_number(text, $low..=$high),
        }
    };
    (at least $low:literal) => {
        $crate::config::parse::Accepts {
            text: concat!("a whole number, at least ", $low),
            parse: |text| $crate::config::parse::whole_number(text, $low..=usize::MAX),
        }
    };
}

pub(super) use whole;

pub(super) fn whole_number(text: &str, range: RangeInclusive<usize>) -> Parsed<usize> {
    let number = text.trim().parse().ok();
    number.filter(|number| range.contains(number)).ok_or_else(Wrong::value)
}

/// The accepted limits of tasks that run at once, for the option and for the builder.
pub(crate) const CONCURRENT_TASKS: Accepts<usize> = whole!(1 to 10_000);

impl Accepts<usize> {
    pub(crate) fn is_accepted(&self, number: usize) -> bool {
        (self.parse)(&number.to_string()).is_ok()
    }
}

/// A number in a range.
macro_rules! number {
    ($kind:literal, $low:literal to $high:literal) => {
        Accepts {
            text: concat!($kind, ", ", $low, " to ", $high),
            parse: |text| finite(text, |number| (f64::from($low)..=f64::from($high)).contains(number)),
        }
    };
    ($kind:literal, at least $low:literal) => {
        Accepts {
            text: concat!($kind, ", at least ", $low),
            parse: |text| finite(text, |number| *number >= f64::from($low)),
        }
    };
}

pub(super) const GIGABYTES: Accepts<f64> = number!("a number of GB", at least 0);

pub(super) const PERCENT: Accepts<f64> = number!("a number", 0 to 100);

fn finite(text: &str, is_in_range: fn(&f64) -> bool) -> Parsed<f64> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.filter(is_in_range).ok_or_else(Wrong::value)
}

/// A number of seconds from a lower limit on, or above it.
macro_rules! seconds {
    (at least $low:literal) => {
        Accepts {
            text: concat!("a number of seconds, at least ", $low),
            parse: |text| duration(text, |time| time.as_secs_f64() >= f64::from($low)),
        }
    };
    (above $low:literal) => {
        Accepts {
            text: concat!("a number of seconds above ", $low),
            parse: |text| duration(text, |time| time.as_secs_f64() > f64::from($low)),
        }
    };
}

pub(super) const DELAY: Accepts<Duration> = seconds!(at least 0);

pub(super) const TIMEOUT: Accepts<Duration> = seconds!(above 0);

pub(super) const INTERVAL: Accepts<Duration> = seconds!(at least 0.05);

fn duration(text: &str, is_in_range: fn(&Duration) -> bool) -> Parsed<Duration> {
    // A century: anything longer is a slip, and would overflow timers.
    const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;
    let seconds = finite(text, |number| *number >= 0.0)?;
    if seconds > MAX_SECONDS {
        return Err(Wrong::detail("at most a century"));
    }
    Some(Duration::from_secs_f64(seconds)).filter(is_in_range).ok_or_else(Wrong::value)
}

pub(super) const COSTS: Accepts<BTreeMap<String, f64>> =
    Accepts { text: "a JSON object of names and costs such as `{\"resize\": 0.01}`", parse: json };

pub(super) const SOFTWARE: Accepts<BTreeMap<String, String>> =
    Accepts { text: "a JSON object of names and versions such as `{\"python\": \"3.9\"}`", parse: json };

pub(super) const MODELS: Accepts<Vec<InstalledModel>> =
    Accepts { text: "a JSON list of objects with `name` and `version`", parse: json };

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Parsed<T> {
    serde_json::from_str(text).map_err(|error| Wrong::ignored(&error))
}
