//! The versions of the published orchestrators.

/// The version of a published orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 1.0b12, with protocol 1.0b2.
    V1_0b12,
    /// Version 1.0b30, with protocol 1.0b17.
    V1_0b30,
}

impl Version {
    /// The version number on PyPI.
    pub fn number(self) -> &'static str {
        match self {
            Self::V1_0b12 => "1.0b12",
            Self::V1_0b30 => "1.0b30",
        }
    }

    /// The status with which it refuses a wrong token.
    pub fn refusal(self) -> u16 {
        match self {
            Self::V1_0b12 => 401,
            Self::V1_0b30 => 403,
        }
    }
}
