//! Values from text: for each kind of option, the values that are accepted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::{Artifact, Device, InstalledModel};
use rxon::text::excerpt;
use rxon::transport::http::{OrchestratorUrl, Proxies, Token};

use super::choices::Named;
use super::secret::{Address, Secret};

/// A value without spaces and line ends around it, and without quotes around it: what a shell removes, files of variables
/// and YAML leave. The one rule for the values of all options.
pub(super) fn bare(value: &str) -> &str {
    let value = value.trim();
    let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    ['"', '\''].into_iter().find_map(quoted).map_or(value, bare)
}

/// The values that an option accepts: in words, for documentation and errors, and as the function that reads them.
pub(crate) struct Accepts<T> {
    pub(crate) text: &'static str,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

/// The reason why a text is not accepted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wrong {
    /// The exact fault, where there is more to say than what is accepted.
    pub(super) detail: Option<String>,
    /// Whether a variable with this fault counts as not set, with a warning, as in the reference.
    pub(super) lenient: bool,
}

impl Wrong {
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
            let found = T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            found.map(|(_, value)| *value).ok_or_else(Wrong::default)
        },
    }
}

pub(super) const WORKER_ID: Accepts<WorkerId> = Accepts {
    text: "1 to 128 characters of `a-z A-Z 0-9 _ -`",
    parse: |text| WorkerId::new(text).map_err(|_| Wrong::default()),
};

pub(super) const TEXT: Accepts<String> =
    Accepts { text: "text", parse: |text| one_line(text).map(Into::into) };

/// Takes a text as it is: not empty, and without control characters.
fn one_line(text: &str) -> Parsed<&str> {
    if text.chars().any(char::is_control) {
        return Err(Wrong::detail("without line ends and other control characters"));
    }
    if text.trim().is_empty() { Err(Wrong::default()) } else { Ok(text) }
}

/// The accepted keys of a storage: they are sent in headers.
pub(crate) const KEY: &str = "a key of visible ASCII characters, without spaces or line ends around it";

pub(crate) fn is_key(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

pub(super) const STORAGE_KEY: Accepts<Secret> = Accepts {
    text: KEY,
    parse: |text| if is_key(text) { Ok(Secret::new(text)) } else { Err(Wrong::default()) },
};

pub(super) const REGION: Accepts<String> = Accepts {
    text: "the name of a region such as `us-east-1`",
    parse: |text| {
        let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if is_name { Ok(text.to_owned()) } else { Err(Wrong::default()) }
    },
};

pub(super) const SECRET: Accepts<Secret> =
    Accepts { text: TEXT.text, parse: |text| one_line(text).map(Secret::new) };

pub(crate) const TOKEN: Accepts<Secret> = Accepts {
    text: "a token without control characters",
    parse: |text| Token::new(text).map(|_| Secret::new(text)).map_err(|_| Wrong::default()),
};

pub(super) const PATH: Accepts<PathBuf> =
    Accepts { text: "a path", parse: |text| one_line(text).map(Into::into) };

pub(super) const HOST: Accepts<IpAddr> = Accepts {
    text: "an IP address or `localhost`",
    parse: |text| match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        address => address.parse().map_err(|_| Wrong::default()),
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
        let web = text.to_lowercase().starts_with("http");
        orchestrator(text).ok().filter(|_| web).map(|_| text.into()).ok_or_else(Wrong::default)
    },
};

pub(super) const PROXY: Accepts<Address> = Accepts {
    text: "the address of an http proxy such as `http://proxy:3128`",
    parse: |text| {
        let read = Proxies::read(|name| (name == "HTTP_PROXY").then(|| text.to_owned()));
        read.map(|_| Address::new(text)).map_err(|_| Wrong::default())
    },
};

pub(super) const NO_PROXY: Accepts<String> = Accepts {
    text: "host names, suffixes, addresses and networks such as `10.0.0.0/8`, separated by commas, or `*`",
    parse: TEXT.parse,
};

pub(super) const PORT: Accepts<u16> =
    Accepts { text: "a port, 0 to 65535", parse: |text| text.parse().map_err(|_| Wrong::default()) };

/// A whole number in a range. The text and the check are made of the same literals, so that a range stands once.
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
    let number = text.parse().ok();
    number.filter(|number| range.contains(number)).ok_or_else(Wrong::default)
}

/// The accepted limits of tasks that run at once, for the option and for the builder.
pub(crate) const CONCURRENT_TASKS: Accepts<usize> = whole!(1 to 10_000);

impl Accepts<usize> {
    pub(crate) fn is_accepted(&self, number: usize) -> bool {
        (self.parse)(&number.to_string()).is_ok()
    }
}

pub(super) const GIGABYTES: Accepts<f64> =
    Accepts { text: "a number of GB, at least 0", parse: |text| finite(text, |number| *number >= 0.0) };

pub(super) const PERCENT: Accepts<f64> = Accepts {
    text: "a number, 0 to 100",
    parse: |text| finite(text, |number| (0.0..=100.0).contains(number)),
};

fn finite(text: &str, is_in_range: fn(&f64) -> bool) -> Parsed<f64> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.filter(is_in_range).ok_or_else(Wrong::default)
}

pub(super) const DELAY: Accepts<Duration> =
    Accepts { text: "a number of seconds, at least 0", parse: duration };

pub(super) const TIMEOUT: Accepts<Duration> = Accepts {
    text: "a number of seconds above 0",
    parse: |text| {
        duration(text).and_then(|time| if time.is_zero() { Err(Wrong::default()) } else { Ok(time) })
    },
};

pub(super) const INTERVAL: Accepts<Duration> = Accepts {
    text: "a number of seconds, at least 0.05",
    parse: |text| {
        let time = duration(text)?;
        if time < Duration::from_millis(50) { Err(Wrong::default()) } else { Ok(time) }
    },
};

fn duration(text: &str) -> Parsed<Duration> {
    // A century: anything longer is a slip, and would overflow timers.
    const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;
    let seconds = finite(text, |number| *number >= 0.0)?;
    if seconds > MAX_SECONDS {
        return Err(Wrong::detail("at most a century"));
    }
    Ok(Duration::from_secs_f64(seconds))
}

pub(super) const COSTS: Accepts<BTreeMap<String, f64>> =
    Accepts { text: "a JSON object of names and costs such as `{\"resize\": 0.01}`", parse: json };

pub(super) const SOFTWARE: Accepts<BTreeMap<String, String>> =
    Accepts { text: "a JSON object of names and versions such as `{\"python\": \"3.9\"}`", parse: json };

pub(super) const MODELS: Accepts<Vec<InstalledModel>> =
    Accepts { text: "a JSON list of objects with `name` and `version`", parse: json };

pub(super) const ARTIFACTS: Accepts<Vec<Artifact>> =
    Accepts { text: "a JSON list of objects with `name`, and optionally `version` and `type`", parse: json };

pub(super) const DEVICES: Accepts<Vec<Device>> = Accepts {
    text: "a JSON list of objects with `type`, and optionally `model`, `id` and `properties`",
    parse: json,
};

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Parsed<T> {
    serde_json::from_str(text).map_err(|error| Wrong::ignored(&error))
}
