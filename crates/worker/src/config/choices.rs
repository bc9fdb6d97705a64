//! Options whose value is one of a few words.

/// A type whose values have names.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// The names and their values. A value with several names is shown by the first of them.
    const NAMES: &'static [(&'static str, Self)];

    /// The list of names in documentation and errors.
    const ACCEPTED: &'static str;
}

/// Joins words to the text "`a`, `b` or `c`".
macro_rules! alternatives {
    ($first:literal $last:literal) => { concat!("`", $first, "` or `", $last, "`") };
    ($first:literal $($rest:literal)+) => { concat!("`", $first, "`, ", alternatives!($($rest)+)) };
}

/// Gives names to the values of a type.
macro_rules! names {
    ($type:ty { $($word:literal = $value:expr,)+ }) => {
        impl Named for $type {
            const NAMES: &'static [(&'static str, Self)] = &[$(($word, $value)),+];
            const ACCEPTED: &'static str = alternatives!($($word)+);
        }
    };
}

/// Declares an enum for an option, with the word for each of its values.
macro_rules! choice {
    ($(#[$attribute:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        names! { $name { $($word = Self::$variant,)+ } }
    };
}

choice! {
    /// How several orchestrators are used.
    pub enum MultiOrchestratorMode {
        /// One at a time: the first healthy one.
        Failover = "FAILOVER",
        /// All of them, in proportion to their weights.
        RoundRobin = "ROUND_ROBIN",
        /// All of them, in order of priority.
        Waterfall = "WATERFALL",
    }
}

choice! {
    /// The status that a full worker reports. The configuration guide compares the two.
    pub enum CapacityReporting {
        /// Busy when full, as the reference promises. The real orchestrators quarantine a job within milliseconds when
        /// no worker is idle.
        Strict = "strict",
        /// Idle even when full, with fewer polls: tasks wait for this worker in the orchestrator's queue.
        Queue = "queue",
    }
}

choice! {
    /// How polls that are open at shutdown end.
    pub enum ShutdownPolls {
        /// Awaited where a successor with the same id could lose a task to them, else dropped.
        Auto = "auto",
        /// Always awaited, within the time limit of the shutdown.
        Await = "await",
        /// Always dropped, 1 s after the orchestrator acknowledged that the worker is busy.
        Drop = "drop",
    }
}

choice! {
    /// The format of log lines.
    pub enum LogFormat {
        /// Text, for people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// The lowest level of log lines that are written.
pub type LogLevel = tracing::Level;

names! {
    LogLevel {
        "error" = Self::ERROR,
        "warn" = Self::WARN,
        "warning" = Self::WARN,
        "info" = Self::INFO,
        "debug" = Self::DEBUG,
        "trace" = Self::TRACE,
    }
}

names! {
    bool {
        "true" = true,
        "false" = false,
        "1" = true,
        "0" = false,
        "yes" = true,
        "no" = false,
        "on" = true,
        "off" = false,
    }
}

/// The first name of a value.
pub(super) fn name_of<T: Named>(value: T) -> &'static str {
    let found = T::NAMES.iter().find(|(_, named)| *named == value);
    found.map(|(name, _)| *name).expect("every value has a name")
}
