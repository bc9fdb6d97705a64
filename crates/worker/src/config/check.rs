//! What is wrong with a configuration, and what is doubtful.

use rxon::transport::http::{ClientIdentity, InvalidTls, TlsFile, TlsSettings};

use super::parse::TOKEN;
use super::{
    ConfigError, OPTIONS, OptionInfo, PLACEHOLDER_TOKEN, Problem, Secret, WorkerConfig, orchestrators,
};

impl WorkerConfig {
    /// What is worth a warning but no reason not to start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.history.unknown.clone();
        let ignored = self.history.ignored.iter();
        let ignored = ignored.filter(|problem| !self.is_set_in_code(&problem.variable));
        warnings.extend(
            ignored
                .map(|problem| format!("`{}` is ignored, expected {}", problem.variable, problem.expected)),
        );
        if let Some(text) = self.history.environment.get("ORCHESTRATORS_CONFIG")
            && !self.is_set_in_code("ORCHESTRATORS_CONFIG")
        {
            let unknown = orchestrators::unknown_keys(text.expose());
            warnings.extend(unknown.iter().map(|sentence| format!("`ORCHESTRATORS_CONFIG`: {sentence}")));
        }
        let unsupported = OPTIONS.iter().filter(|option| !option.supported && self.is_set(option.variable));
        warnings.extend(
            unsupported.map(|option| {
                format!("`{}` is set, but this version does not support it yet", option.variable)
            }),
        );
        if self.worker_outbox_dir.is_some() && self.worker_id.is_none() {
            warnings.push(
                "`WORKER_OUTBOX_DIR` is set and `WORKER_ID` is not: results on disk are found again by a worker with the \
                 same id only, and a random one is never the same"
                    .to_owned(),
            );
        }
        // What is wrong was given: its problem says more.
        let wrong = |variable| self.history.problems.iter().any(|problem| problem.variable == variable);
        let variables = ["WORKER_TOKEN", "WORKER_INDIVIDUAL_TOKEN", "ORCHESTRATORS_CONFIG"];
        let is_given = variables.into_iter().any(wrong);
        let orchestrators = self.orchestrators();
        let placeholders =
            orchestrators.iter().filter(|entry| !is_given && entry.token.expose() == PLACEHOLDER_TOKEN);
        warnings.extend(placeholders.map(|entry| {
            format!(
                "the token for {} is the placeholder `{PLACEHOLDER_TOKEN}`: set `WORKER_TOKEN`",
                entry.url
            )
        }));
        warnings
    }

    /// Everything that is wrong, at once. Reads the files of certificates and keys.
    ///
    /// # Errors
    /// [`ConfigError`] with one problem for each wrong option, in the order of [`OPTIONS`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let read = self.history.problems.iter();
        let mut problems: Vec<Problem> =
            read.filter(|problem| !self.is_set_in_code(&problem.variable)).cloned().collect();
        let in_code = OPTIONS.iter().filter(|option| self.is_set_in_code(option.variable));
        problems.extend(in_code.filter_map(|option| self.wrong_in_code(option)));
        problems.extend(self.history.wrong.iter().cloned());
        problems.extend(self.wrong_files());
        if let Some(missing) = self.missing_key()
            && problems.iter().all(|problem| problem.variable != missing.variable)
        {
            problems.push(missing);
        }
        problems.sort_by_key(|problem| OPTIONS.iter().position(|option| option.variable == problem.variable));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::new(problems)) }
    }

    /// What is set in code has to be what its variable has to be.
    fn wrong_in_code(&self, option: &OptionInfo) -> Option<Problem> {
        let text = self.text(option.variable)?;
        let wrong = Self::empty().assign(option.variable, &text).err()?;
        Some(option.problem(&text, wrong.detail.as_deref()))
    }

    fn wrong_files(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            self.tls().check().err().iter().map(|error| self.tls_problem(error)).collect();
        let (certificate, key) = (&self.tls_cert_path, &self.tls_key_path);
        problems.extend(self.identity().check().iter().map(|error| self.tls_problem(error)));
        let missing = match (certificate, key) {
            (Some(_), None) => Some(("TLS_KEY_PATH", "the key of the certificate in `TLS_CERT_PATH`")),
            (None, Some(_)) => Some(("TLS_CERT_PATH", "the certificate of the key in `TLS_KEY_PATH`")),
            _ => None,
        };
        problems.extend(missing.map(|(variable, expected)| Problem::new(variable, "", expected)));
        problems
    }

    /// One key of the storage without the other.
    fn missing_key(&self) -> Option<Problem> {
        let is_given = |key: &Option<Secret>| key.as_ref().is_some_and(|key| !key.is_empty());
        let (variable, expected) = match (is_given(&self.s3_access_key), is_given(&self.s3_secret_key)) {
            (true, false) => ("S3_SECRET_KEY", "the secret key of `S3_ACCESS_KEY`"),
            (false, true) => ("S3_ACCESS_KEY", "the access key of `S3_SECRET_KEY`"),
            _ => return None,
        };
        Some(Problem::new(variable, "", expected))
    }

    /// A file of certificates or of a key that is not what it should be.
    pub(crate) fn tls_problem(&self, error: &InvalidTls) -> Problem {
        let (variable, path) = match error.file() {
            Some(TlsFile::Certificate) => ("TLS_CERT_PATH", &self.tls_cert_path),
            Some(TlsFile::Key) => ("TLS_KEY_PATH", &self.tls_key_path),
            Some(TlsFile::Authorities) | None => ("TLS_CA_PATH", &self.tls_ca_path),
        };
        let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        Problem::new(variable, path, error.expected())
    }

    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings { ca_path: self.tls_ca_path.clone(), identity: self.identity() }
    }

    fn identity(&self) -> ClientIdentity {
        ClientIdentity { cert_path: self.tls_cert_path.clone(), key_path: self.tls_key_path.clone() }
    }
}

/// A token that cannot stand in a header.
pub(crate) fn wrong_token(variable: &str) -> Problem {
    Problem::new(variable, "***", TOKEN.text)
}
