//! The stand-in for the storage where the feature `s3` is off: there is none, and tasks have local files only.

#![expect(
    clippy::needless_pass_by_value,
    clippy::unused_async,
    clippy::unused_self,
    reason = "the signatures are those with the feature"
)]

// No value of these types exists, so no method of them can be called.

pub(super) mod storage {
    use rxon::transport::http::InvalidTls;

    use crate::config::Problem;
    use crate::files::settings::StorageSettings;

    pub(crate) const NO_STORAGE: &str = "there is no storage: the feature `s3` of `avtomatika-worker` is off";

    #[derive(Debug)]
    pub(crate) enum Storage {}

    #[derive(Debug)]
    pub(crate) enum InvalidStorage {
        Option(Problem),
        #[expect(dead_code, reason = "only with the feature")]
        Certificates(InvalidTls),
    }

    impl Storage {
        pub(crate) fn new(settings: StorageSettings) -> Result<Self, InvalidStorage> {
            let expected = "no value, because the feature `s3` of `avtomatika-worker` is off";
            let address = settings.endpoint.to_string();
            Err(InvalidStorage::Option(Problem::new("S3_ENDPOINT_URL", address, expected)))
        }
    }
}

pub(super) mod transfer {
    pub(in crate::files) mod resources {
        use std::sync::Arc;

        use crate::files::settings::CacheSettings;
        use crate::files::storage::Storage;
        use crate::files::transfer::traffic::Traffic;

        #[derive(Debug)]
        pub(in crate::files) enum TransferResources {}

        impl TransferResources {
            pub(in crate::files) fn new(storage: Storage, _: Option<CacheSettings>, _: Arc<Traffic>) -> Self {
                match storage {}
            }
        }
    }

    pub(in crate::files) mod traffic {
        use prometheus_client::registry::Registry;

        #[derive(Debug, Default)]
        pub(crate) struct Traffic;

        impl Traffic {
            pub(crate) fn register(&self, _: &mut Registry) {}
        }
    }
}

pub(super) mod mover {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use serde_json::value::RawValue;

    use crate::files::directory::TaskDirectory;
    use crate::files::error::FileError;
    use crate::files::inputs::Inputs;
    use crate::files::metadata::MetadataByPath;
    use crate::files::transfer::resources::TransferResources;
    use crate::files::workspace::root::Root;

    #[derive(Debug)]
    pub(in crate::files) enum Mover {}

    impl Mover {
        pub(in crate::files) fn new(
            _: Arc<Root>,
            _: Arc<TaskDirectory>,
            resources: Arc<TransferResources>,
        ) -> Arc<Self> {
            match *resources {}
        }

        pub(in crate::files) async fn upload(&self, _: &Path, _: bool) -> Result<String, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn download(&self, _: &str, _: &Path) -> Result<PathBuf, FileError> {
            match *self {}
        }

        pub(in crate::files) async fn fetch_inputs(
            &self,
            _: Box<RawValue>,
            _: &MetadataByPath,
        ) -> Result<(Box<RawValue>, Inputs), FileError> {
            match *self {}
        }

        pub(in crate::files) async fn send_outputs(
            &self,
            _: Box<RawValue>,
        ) -> Result<(Box<RawValue>, MetadataByPath), FileError> {
            match *self {}
        }
    }
}
