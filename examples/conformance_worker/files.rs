//! The tasks that read and write files.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use avtomatika_worker::WorkerBuilder;
use avtomatika_worker::files::OpenMode;
use avtomatika_worker::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

/// Registers all tasks of this module.
pub(crate) fn add(builder: WorkerBuilder) -> WorkerBuilder {
    builder
        .task("write_file", write_file)
        .task("write_dir", write_dir)
        .task("list_files", list_files)
        .task("read_input", read_input)
}

#[derive(Deserialize)]
struct WriteFile {
    name: String,
    content: String,
    #[serde(default)]
    sleep: f64,
    #[serde(default)]
    raise: bool,
    #[serde(default)]
    nested: bool,
}

async fn write_file(Params(params): Params<WriteFile>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    files.write(&params.name, &params.content).await?;
    let path = files.path_to(&params.name).await?;
    tokio::time::sleep(Duration::try_from_secs_f64(params.sleep)?).await;
    if params.raise {
        return Err(std::io::Error::other("asked to fail").into());
    }
    Ok(Json(if params.nested {
        json!({"outer": {"list": [path, "plain text"]}, "report": path})
    } else {
        json!({"report": path})
    }))
}

#[derive(Deserialize)]
struct Names {
    names: Vec<String>,
}

async fn write_dir(Params(params): Params<Names>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    for name in &params.names {
        files.write(format!("out/{name}"), format!("content of {name}")).await?;
    }
    Ok(Json(json!({"dir": files.path_to("out").await?})))
}

async fn list_files(Params(params): Params<Names>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    let path = files.path_to("x").await?;
    let made = path.parent().is_some_and(Path::is_dir);
    for name in &params.names {
        files.write(name, format!("content of {name}")).await?;
    }
    files.write("raw.bin", [0x00, 0xff, 0x01]).await?;
    let mut opened = files.open("opened.txt", OpenMode::WRITE).await?;
    opened.write_all(b"through open").await?;
    opened.flush().await?;
    let mut exists = Map::new();
    for name in params.names.iter().map(String::as_str).chain(["raw.bin", "opened.txt", "no-such-file"]) {
        exists.insert(name.to_owned(), files.exists(name).await?.into());
    }
    let mut read = Map::new();
    for name in params.names.iter().map(String::as_str).chain(["opened.txt"]) {
        read.insert(name.to_owned(), files.read_text(name).await?.into());
    }
    let list = files.list().await?;
    let raw = hex(&files.read("raw.bin").await?);
    Ok(Json(json!({"made": made, "list": list, "exists": exists, "read": read, "raw": raw})))
}

#[derive(Deserialize)]
struct ReadInput {
    input: Value,
    #[serde(default)]
    sleep: f64,
}

async fn read_input(Params(params): Params<ReadInput>, files: TaskFiles) -> Result<Json<Value>, TaskError> {
    tokio::time::sleep(Duration::try_from_secs_f64(params.sleep)?).await;
    // The parent of this task's directory contains the directories of all tasks.
    let own = files.path_to("x").await?;
    let root = own.ancestors().nth(2).unwrap_or(&own).canonicalize()?;
    let described = tokio::task::spawn_blocking(move || described(params.input, &root));
    Ok(Json(json!({"input": described.await??})))
}

/// Describes a parameter: a file, a directory, or text.
fn described(input: Value, root: &Path) -> std::io::Result<Value> {
    Ok(match input {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| Ok((name, described(value, root)?)));
            Value::Object(members.collect::<std::io::Result<_>>()?)
        }
        Value::Array(values) => values
            .into_iter()
            .map(|value| described(value, root))
            .collect::<std::io::Result<Vec<_>>>()?
            .into(),
        Value::String(text) if Path::new(&text).is_file() => file(Path::new(&text), root)?,
        Value::String(text) if Path::new(&text).is_dir() => directory(Path::new(&text), root)?,
        other => json!({"kind": "text", "text": other}),
    })
}

fn file(path: &Path, root: &Path) -> std::io::Result<Value> {
    let content = std::fs::read(path)?;
    let digest = hex(&Sha256::digest(&content));
    Ok(json!({"kind": "file", "rel": relative(path, root)?, "size": content.len(), "sha256": digest}))
}

fn directory(path: &Path, root: &Path) -> std::io::Result<Value> {
    let (mut files, mut directories) = (BTreeMap::new(), vec![path.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?.path();
            if entry.is_dir() {
                directories.push(entry);
            } else {
                let name = entry.strip_prefix(path).unwrap_or(&entry).to_string_lossy().into_owned();
                files.insert(name, file(&entry, root)?);
            }
        }
    }
    Ok(json!({"kind": "directory", "rel": relative(path, root)?, "files": files}))
}

fn relative(path: &Path, root: &Path) -> std::io::Result<String> {
    let path = path.canonicalize()?;
    Ok(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
