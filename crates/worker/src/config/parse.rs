//! From text to values.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rxon::WorkerId;
use rxon::model::InstalledModel;
use rxon::text::excerpt;
use rxon::transport::http::{OrchestratorUrl, Proxies, Token};

use super::{Address, CapacityReporting, LogFormat, LogLevel, MultiOrchestratorMode, Secret, ShutdownPolls};

/// What the value of an option has to be: the text for documentation and errors, and the function that holds to it.
pub(super) struct Accepts<T> {
    pub(super) text: &'static str,
    pub(super) parse: fn(&str) -> Parsed<T>,
}

pub(super) type Parsed<T> = Result<T, Wrong>;

/// Why a text is not what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What exactly is wrong, where there is more to say than what is accepted.
    pub(super) detail: Option<String>,
    /// As the reference has it, a variable that is wrong like this is warned about and counts as not set.
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

/// A value that has a name; of several, the first is how it is shown.
pub(super) trait Named: Copy + PartialEq + 'static {
    const NAMES: &'static [(&'static str, Self)];
}

fn named<T: Named>(text: &str) -> Parsed<T> {
    let text = text.trim();
    let found = T::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(Wrong::value)
}

impl Named for bool {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("true", true),
        ("false", false),
        ("1", true),
        ("0", false),
        ("yes", true),
        ("no", false),
        ("on", true),
        ("off", false),
    ];
}

impl Named for CapacityReporting {
    const NAMES: &'static [(&'static str, Self)] = &[("strict", Self::Strict), ("queue", Self::Queue)];
}

impl Named for ShutdownPolls {
    const NAMES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("await", Self::Await), ("drop", Self::Drop)];
}

impl Named for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Named for LogLevel {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("warning", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

impl Named for MultiOrchestratorMode {
    const NAMES: &'static [(&'static str, Self)] =
        &[("FAILOVER", Self::Failover), ("ROUND_ROBIN", Self::RoundRobin), ("WATERFALL", Self::Waterfall)];
}

pub(super) const BOOLEAN: Accepts<bool> =
    Accepts { text: "`true`, `false`, `1`, `0`, `yes`, `no`, `on` or `off`", parse: named };

pub(super) const CAPACITY_REPORTING: Accepts<CapacityReporting> =
    Accepts { text: "`strict` or `queue`", parse: named };

pub(super) const SHUTDOWN_POLLS: Accepts<ShutdownPolls> =
    Accepts { text: "`auto`, `await` or `drop`", parse: named };

pub(super) const LOG_FORMAT: Accepts<LogFormat> = Accepts { text: "`text` or `json`", parse: named };

pub(super) const LOG_LEVEL: Accepts<LogLevel> =
    Accepts { text: "`error`, `warn` (or `warning`), `info`, `debug` or `trace`", parse: named };

pub(super) const MODE: Accepts<MultiOrchestratorMode> =
    Accepts { text: "`FAILOVER`, `ROUND_ROBIN` or `WATERFALL`", parse: named };

pub(super) const WORKER_ID: Accepts<Option<WorkerId>> = Accepts {
    text: "1 to 128 characters of `a-z A-Z 0-9 _ -`",
    parse: |text| WorkerId::new(text.trim()).map(Some).map_err(|_| Wrong::value()),
};

pub(super) const TEXT: Accepts<String> = Accepts {
    text: "text",
    parse: |text| if text.trim().is_empty() { Err(Wrong::value()) } else { Ok(text.into()) },
};

pub(super) const OPTIONAL_TEXT: Accepts<Option<String>> =
    Accepts { text: TEXT.text, parse: |text| (TEXT.parse)(text).map(Some) };

/// What keys of a storage have to be: they are sent in headers.
pub(crate) const KEY: &str = "a key of visible ASCII characters, without spaces or line ends around it";

pub(crate) fn is_key(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

pub(super) const STORAGE_KEY: Accepts<Option<Secret>> = Accepts {
    text: KEY,
    parse: |text| if is_key(text) { Ok(Some(Secret::new(text))) } else { Err(Wrong::value()) },
};

pub(super) const REGION: Accepts<String> = Accepts {
    text: "the name of a region such as `us-east-1`",
    parse: |text| {
        let name = text.trim();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if is_name { Ok(name.to_owned()) } else { Err(Wrong::value()) }
    },
};

pub(super) const SECRET: Accepts<Option<Secret>> =
    Accepts { text: "text", parse: |text| Ok(Some(Secret::new(text))) };

pub(super) const TOKEN: Accepts<Secret> = Accepts {
    text: "a token without control characters",
    parse: |text| match Token::new(text) {
        Ok(_) => Ok(Secret::new(text)),
        Err(_) => Err(Wrong::value()),
    },
};

pub(super) const OPTIONAL_TOKEN: Accepts<Option<Secret>> =
    Accepts { text: TOKEN.text, parse: |text| (TOKEN.parse)(text).map(Some) };

pub(super) const PATH: Accepts<PathBuf> = Accepts {
    text: "a path",
    parse: |text| if text.is_empty() { Err(Wrong::value()) } else { Ok(text.into()) },
};

pub(super) const OPTIONAL_PATH: Accepts<Option<PathBuf>> =
    Accepts { text: PATH.text, parse: |text| (PATH.parse)(text).map(Some) };

pub(super) const HOST: Accepts<IpAddr> = Accepts {
    text: "an IP address or `localhost`",
    parse: |text| match text.trim() {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        address => address.parse().map_err(|_| Wrong::value()),
    },
};

pub(super) const ORCHESTRATOR: Accepts<Option<OrchestratorUrl>> = Accepts {
    text: "the address of an orchestrator such as `http://host:8080` or `https://host/prefix`",
    parse: |text| orchestrator(text).map(Some).map_err(Wrong::detail),
};

/// An orchestrator's address, or why it is none.
pub(super) fn orchestrator(text: &str) -> Result<OrchestratorUrl, &'static str> {
    text.parse().map_err(|error: rxon::transport::http::InvalidAddress| error.expected)
}

pub(super) const STORAGE: Accepts<Option<Address>> = Accepts {
    text: "the address of a storage such as `https://s3.example.com` or `http://host:9000`",
    parse: |text| {
        let web = text.trim().to_lowercase().starts_with("http");
        orchestrator(text).ok().filter(|_| web).map(|_| Some(text.trim().into())).ok_or_else(Wrong::value)
    },
};

pub(super) const PROXY: Accepts<Option<Address>> = Accepts {
    text: "the address of an http proxy such as `http://proxy:3128`",
    parse: |text| match Proxies::read(|name| (name == "HTTP_PROXY").then(|| text.to_owned())) {
        Ok(_) => Ok(Some(Address::new(text))),
        Err(_) => Err(Wrong::value()),
    },
};

pub(super) const NO_PROXY: Accepts<Option<String>> = Accepts {
    text: "host names, suffixes, addresses and networks such as `10.0.0.0/8`, separated by commas, or `*`",
    parse: OPTIONAL_TEXT.parse,
};

pub(super) const PORT: Accepts<u16> =
    Accepts { text: "a port, 0 to 65535", parse: |text| text.trim().parse().map_err(|_| Wrong::value()) };

/// A whole number of a range, or from a number on.
macro_rules! whole {
    ($low:literal to $high:literal) => {
        $crate::config::parse::Accepts {
            text: concat!("a whole number, ", $low, " to ", $high),
            parse: |text| $crate::config::parse::whole_number(text, $low, $high),
        }
    };
    ($low:literal) => {
        $crate::config::parse::Accepts {
            text: concat!("a whole number, at least ", $low),
            parse: |text| $crate::config::parse::whole_number(text, $low, usize::MAX),
        }
    };
}

pub(super) use whole;

pub(super) fn whole_number(text: &str, low: usize, high: usize) -> Parsed<usize> {
    let number = text.trim().parse().ok();
    number.filter(|number| (low..=high).contains(number)).ok_or_else(Wrong::value)
}

pub(super) const GIGABYTES: Accepts<f64> = Accepts {
    text: "a number of GB, at least 0",
    parse: |text| number(text).filter(|number| *number >= 0.0).ok_or_else(Wrong::value),
};

pub(super) const PERCENT: Accepts<f64> = Accepts {
    text: "a number, 0 to 100",
    parse: |text| number(text).filter(|number| (0.0..=100.0).contains(number)).ok_or_else(Wrong::value),
};

pub(super) const DELAY: Accepts<Duration> =
    Accepts { text: "a number of seconds, at least 0", parse: |text| seconds(text, |_| true) };

pub(super) const TIMEOUT: Accepts<Duration> =
    Accepts { text: "a number of seconds above 0", parse: |text| seconds(text, |time| !time.is_zero()) };

pub(super) const OPTIONAL_TIMEOUT: Accepts<Option<Duration>> =
    Accepts { text: TIMEOUT.text, parse: |text| (TIMEOUT.parse)(text).map(Some) };

pub(super) const INTERVAL: Accepts<Duration> = Accepts {
    text: "a number of seconds, at least 0.05",
    parse: |text| seconds(text, |time| time >= Duration::from_millis(50)),
};

fn seconds(text: &str, enough: fn(Duration) -> bool) -> Parsed<Duration> {
    // A century: what is longer is a slip, and would overflow timers.
    const LONGEST: f64 = 100.0 * 366.0 * 86_400.0;
    let number = number(text).filter(|number| *number >= 0.0).ok_or_else(Wrong::value)?;
    if number > LONGEST {
        return Err(Wrong::detail("at most a century"));
    }
    Some(Duration::from_secs_f64(number)).filter(|time| enough(*time)).ok_or_else(Wrong::value)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
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
