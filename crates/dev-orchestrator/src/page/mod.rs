//! The page: its files, which are a part of the library, and the policy under which a browser runs them.

mod policy;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use bytes::Bytes;

/// The files below `assets`, by their path there, in order: made by `build.rs`.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// The document for all addresses of the page.
const INDEX: &str = "index.html";

/// The `Content-Security-Policy` of the page.
pub(crate) static POLICY: LazyLock<String> =
    LazyLock::new(|| policy::of(FILES.iter().find(|(name, _)| *name == INDEX).map_or(b"", |(_, text)| text)));

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) content: Bytes,
    pub(crate) content_type: &'static str,
    /// Differs between versions of the file, with its quotes.
    pub(crate) etag: String,
}

impl Asset {
    fn new(name: &str, content: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self { content, content_type: content_type(name), etag }
    }
}

/// Where the document names its modules.
const MODULES: &str = "<!-- modules -->";

/// The document, with the address of each module: else a browser would learn of them one import after another.
static DOCUMENT: LazyLock<Option<Bytes>> = LazyLock::new(|| {
    let (_, document) = FILES.iter().find(|(name, _)| *name == INDEX)?;
    let modules = FILES.iter().filter(|(name, _)| content_type(name) == SCRIPT);
    let hints = modules.map(|(name, _)| format!("<link rel=\"modulepreload\" href=\"/assets/{name}\">"));
    let hints: String = hints.collect::<Vec<_>>().join("\n    ");
    Some(std::str::from_utf8(document).ok()?.replace(MODULES, &hints).into())
});

/// Returns the document for all addresses of the page.
pub(crate) fn index() -> Option<Asset> {
    Some(Asset::new(INDEX, DOCUMENT.clone()?))
}

/// Returns the file with this path below `assets`.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    if path == INDEX {
        return index();
    }
    let at = FILES.binary_search_by_key(&path, |(name, _)| name).ok()?;
    let (name, content) = FILES[at];
    Some(Asset::new(name, Bytes::from_static(content)))
}

/// A module with another type than this would not be run by a browser.
const SCRIPT: &str = "text/javascript; charset=utf-8";

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => SCRIPT,
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found_by_its_path_and_no_other_is() {
        for (name, content) in FILES.iter().filter(|(name, _)| *name != INDEX) {
            let asset = asset(name).expect("a file of the page");
            assert_eq!(asset.content, content, "{name}");
        }
        for stranger in ["", "/", "index", "../mod.rs", "/index.html", "index.html/"] {
            assert!(asset(stranger).is_none(), "{stranger}");
        }
        assert!(index().is_some_and(|index| index.content_type.starts_with("text/html")));
    }

    #[test]
    fn the_document_names_every_module_after_the_import_map() {
        let index = index().expect("there is a document");
        let text = std::str::from_utf8(&index.content).expect("text");
        let modules = FILES.iter().filter(|(name, _)| content_type(name) == SCRIPT).count();
        assert_eq!(text.matches("rel=\"modulepreload\"").count(), modules);
        assert!(text.contains("href=\"/assets/app/main.js\"") && !text.contains(MODULES));
        // A browser ignores an import map that comes after the first module.
        assert!(text.find("importmap") < text.find("modulepreload"));
    }

    #[test]
    fn the_type_follows_from_the_name() {
        assert_eq!(content_type("app/main.js"), SCRIPT);
        assert_eq!(content_type("app.css"), "text/css; charset=utf-8");
        assert_eq!(content_type("vendor/LICENSE"), "text/plain; charset=utf-8");
    }
}
