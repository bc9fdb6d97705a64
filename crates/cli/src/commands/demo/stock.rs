//! The storage of the demo, with the originals and the results.

use anyhow::{Context, anyhow, bail};
use avtomatika_dev::{LocalS3, TaskStatus, TaskView};
use serde::{Deserialize, Serialize};

use super::gallery::Picture;

/// The parameters of a task. The worker gets a file in place of the address.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Order {
    /// The `s3://` address of the original.
    pub(super) picture: String,
    /// The width of the result.
    pub(super) width: u32,
}

/// The data of a result, as the orchestrator receives it.
#[derive(Debug, Deserialize)]
pub(super) struct Delivery {
    /// The `s3://` address of the result.
    picture: String,
    /// The width of the result.
    pub(super) width: u32,
    /// The height of the result.
    pub(super) height: u32,
    /// The size of the file.
    pub(super) bytes: u64,
}

impl Delivery {
    /// Reads the data of a finished task; `None` if it has not finished.
    pub(super) fn of(task: &TaskView) -> anyhow::Result<Option<Self>> {
        let data = task.data_as::<Self>().context("the data of the result cannot be read")?;
        Ok(data.filter(|_| task.status == TaskStatus::Finished))
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        self.picture.rsplit('/').next().unwrap_or_default()
    }

    /// Fetches the content of the file.
    pub(super) async fn fetch(&self, storage: &LocalS3) -> anyhow::Result<Vec<u8>> {
        let parts = self.picture.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let Some((bucket, key)) = parts else {
            bail!("the result has the address `{}`, expected an `s3://` address", self.picture)
        };
        let bytes = storage.get(bucket, key).await;
        bytes.map(Vec::from).with_context(|| format!("cannot fetch `{}`", self.picture))
    }
}

/// Stores the originals, and returns the parameters of a task for each.
pub(super) async fn orders(
    storage: &LocalS3,
    pictures: &[Picture],
    width: u32,
) -> anyhow::Result<Vec<(&'static str, Order)>> {
    let mut orders = Vec::with_capacity(pictures.len());
    for picture in pictures {
        let key = format!("originals/{}", picture.name);
        storage.put(storage.bucket(), &key, picture.bytes).await.context("cannot use the local S3")?;
        let picture_uri = format!("s3://{}/{key}", storage.bucket());
        orders.push((picture.name, Order { picture: picture_uri, width }));
    }
    Ok(orders)
}

/// Returns the storage of the orchestrator.
pub(super) fn storage(orchestrator: &avtomatika_dev::DevOrchestrator) -> anyhow::Result<&LocalS3> {
    orchestrator.storage().ok_or_else(|| anyhow!("the development orchestrator has no storage"))
}
