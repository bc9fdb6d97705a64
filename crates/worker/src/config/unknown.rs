//! Variables that belong to no option, and the options that they may be meant for.

use rxon::text::excerpt;

use super::problem::nearest;
use super::table::{OPTIONS, find};

/// The beginning of variables that hold further capabilities.
pub(super) const EXTRA_PREFIX: &str = "WORKER_EXTRA_";

/// Another name for the variable `ORCHESTRATOR_SECRET_KEY`.
pub(super) const FURTHER_KEY: &str = "SECRET_KEY";

/// The options of the existing SDKs that have no effect, by their variables, each with what to know instead.
pub const WITHOUT_EFFECT: [(&str, &str); 8] = [
    ("WORKER_HEARTBEAT_COOLDOWN", "use `WORKER_HEARTBEAT_DEBOUNCE_DELAY`"),
    ("POLL_BACKOFF_INITIAL", "use `TASK_POLL_ERROR_DELAY`"),
    ("POLL_BACKOFF_MAX", "the delay after failed polls grows to at most 60 s"),
    ("POLL_BACKOFF_FACTOR", "the delay after failed polls doubles with each failure"),
    ("RATE_LIMIT_BACKOFF_FLOOR", "the silence after a refusal follows the orchestrator's rate limit"),
    ("REGISTRATION_RETRY_INITIAL_DELAY", "the delay after failed registrations begins at 1 s"),
    ("REGISTRATION_RETRY_MAX_DELAY", "the delay after failed registrations grows to at most 10 s or 60 s"),
    ("WORKER_ENABLE_METRICS", "the health server always serves `/metrics`"),
];

/// A name with this prefix is ours: with at most [`MAX_SLIPS`] it is taken for a misspelling of an option's.
const PREFIX: &str = "WORKER_";

const MAX_SLIPS: usize = 4;

/// Variables of others that are one or two slips from an option's, in words that fit.
const OF_OTHERS: [&str; 4] = ["CPU_MODEL", "GPU_CORES", "LOGFORMAT", "LOGLEVEL"];

/// The warning about a variable that belongs to no option: one with our prefix, or one that is nearly an option's.
pub(super) fn warning(name: &str) -> Option<String> {
    let is_known = find(name).is_some()
        || name == FURTHER_KEY
        || name.starts_with(EXTRA_PREFIX)
        || WITHOUT_EFFECT.iter().any(|(without, _)| *without == name)
        || OF_OTHERS.contains(&name);
    if is_known {
        return None;
    }
    let nearest = nearest_option(name);
    let shown = excerpt(name);
    let slips = strsim::osa_distance(nearest, name);
    let is_ours = name.starts_with(PREFIX);
    let is_meant = if is_ours {
        slips <= MAX_SLIPS
    } else {
        slips <= slips_of_foreign(nearest) && has_words_of(nearest, name)
    };
    if is_meant {
        Some(format!("unknown variable `{shown}`; did you mean `{nearest}`?"))
    } else {
        is_ours.then(|| format!("unknown variable `{shown}`"))
    }
}

/// The number of slips up to which a name without our prefix is taken for an option's. Short names are near to those of
/// others: `RAM_MB`, `FTP_PROXY`.
fn slips_of_foreign(option: &str) -> usize {
    match option.len() {
        0..=8 => 0,
        9..=11 => 1,
        _ => 2,
    }
}

/// Whether each word of a name may be the option's misspelt, with a slip for every three letters: `SQS_ENDPOINT_URL` and
/// `GPU_VRAM_MB` are other names. Where a mark between words is missing, all else has to fit.
fn has_words_of(option: &str, name: &str) -> bool {
    let is_word = |meant: &str, word: &str| strsim::osa_distance(meant, word) <= meant.len() / 3;
    let (meant, words): (Vec<_>, Vec<_>) = (option.split('_').collect(), name.split('_').collect());
    if meant.len() != words.len() {
        return meant.concat() == words.concat();
    }
    meant.iter().zip(words).all(|(meant, word)| is_word(meant, word))
}

/// The option with the name that is nearest.
pub(super) fn nearest_option(name: &str) -> &'static str {
    nearest(OPTIONS.iter().map(|option| option.variable), name)
}
