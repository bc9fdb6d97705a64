//! The stand-in for the storage where the feature `s3` is off: there is none, and tasks have local files only.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unused_async,
    reason = "the signatures are those with the feature"
)]

// No value of these types exists, so no method of them can be called.

pub(super) mod storage {
    use crate::config::Problem;
    use crate::files::settings::StorageSettings;

    pub(crate) const NO_STORAGE: &str = "there is no storage: the feature `s3` of `avtomatika-worker` is off";

    #[derive(Debug)]
    pub(crate) enum Storage {}

    impl Storage {
        pub(crate) fn new(settings: StorageSettings) -> Result<Self, Problem> {
            let expected = "no value, because the feature `s3` of `avtomatika-worker` is off";
            Err(Problem::new("S3_ENDPOINT_URL", settings.endpoint.to_string(), expected))
        }
    }
}

pub(super) mod transfer {
    use prometheus_client::registry::Registry;

    use crate::files::settings::Cache;
    use crate::files::storage::Storage;

    #[derive(Debug)]
    pub(in crate::files) enum TransferResources {}

    impl TransferResources {
        pub(in crate::files) fn new(_: Option<Storage>, _: Option<Cache>, _: &mut Registry) -> Option<Self> {
            None
        }
    }
}

pub(super) mod mover {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use rxon::model::FileMetadata;
    use serde_json::value::RawValue;

    use crate::files::directory::TaskDirectory;
    use crate::files::error::FileError;
    use crate::files::metadata::{Inputs, MetadataByPath};
    use crate::files::transfer::TransferResources;

    type Replaced<T> = Result<(Box<RawValue>, T), FileError>;

    #[derive(Debug)]
    pub(in crate::files) enum Mover {}

    impl Mover {
        pub(in crate::files) fn new(_: Arc<TaskDirectory>, resources: Arc<TransferResources>) -> Self {
            match *resources {}
        }

        pub(in crate::files) async fn upload(&self, _: &Path, _: bool) -> Result<FileMetadata, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn upload_to(&self, _: &Path, _: &str) -> Result<FileMetadata, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn download(
            &self,
            _: &str,
            _: &Path,
            _: Option<&FileMetadata>,
        ) -> Result<PathBuf, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn metadata(&self, _: &str) -> Result<Option<FileMetadata>, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn delete(&self, _: &str) -> Result<(), FileError> {
            match *self {}
        }

        pub(in crate::files) async fn fetch_inputs(
            &self,
            _: Box<RawValue>,
            _: &MetadataByPath,
        ) -> Replaced<Inputs> {
            match *self {}
        }

        pub(in crate::files) async fn send_outputs(&self, _: Box<RawValue>) -> Replaced<MetadataByPath> {
            match *self {}
        }
    }
}
