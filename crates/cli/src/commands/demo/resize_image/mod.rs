//! The task `resize_image`, written like the handler of any user.

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use avtomatika_worker::files::{BlockingTaskFiles, InputFile, OutputFile};
use avtomatika_worker::prelude::*;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbaImage};
use serde::{Deserialize, Serialize};

/// The name of the task.
pub(super) const TASK: &str = "resize_image";

/// The limit of pixels along a side, for sources and results.
const MAX_SIDE: u32 = 12_000;
/// The limit of memory for one picture, in bytes: a small file may declare an enormous picture.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;
/// The same limits in words.
const ACCEPTED: &str = "at most 12000 pixels a side and 67 million in all";
/// The size of the largest file that is read, in bytes.
const MAX_FILE_SIZE: u64 = 64 * 1024 * 1024;
/// The number of pieces in which each direction is scaled.
const BANDS: u32 = 3;
const JPEG_QUALITY: u8 = 85;

/// The parameters of the task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resize {
    /// A PNG or JPEG file; the extension of its name decides which. Tasks are submitted with an `s3://` address.
    picture: InputFile,
    /// The width of the result; the height is computed from it.
    width: u32,
}

/// The data of the result.
#[derive(Debug, Serialize)]
pub(super) struct Resized {
    /// The file of the result, which becomes an `s3://` address when it is uploaded.
    picture: OutputFile,
    width: u32,
    height: u32,
    /// The size of the file.
    bytes: u64,
}

/// The handler. It computes for a long time, so it is registered with `blocking(resize_image)`.
#[expect(clippy::needless_pass_by_value, reason = "handlers own their arguments")]
pub(super) fn resize_image(
    Params(resize): Params<Resize>,
    files: BlockingTaskFiles,
    context: TaskContext,
) -> Result<Json<Resized>, TaskError> {
    let Resize { picture, width } = resize;
    let target = files.path_to(result_name(&picture, width)?)?;
    let work = Work { source: picture.to_path_buf(), target, width };
    let (height, bytes) = resize_file(&work, move |progress, message| {
        context.send_progress(progress, message);
        if context.is_cancelled() { Err(TaskError::transient("cancelled")) } else { Ok(()) }
    })?;
    Ok(Json(Resized { picture: work.target.into(), width, height, bytes }))
}

/// Returns a name such as `landscape-400.jpg`, so that several widths fit into one directory.
fn result_name(picture: &Path, width: u32) -> Result<String, TaskError> {
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    match (part(picture.file_stem()), part(picture.extension())) {
        (Some(stem), Some(extension)) => Ok(format!("{stem}-{width}.{extension}")),
        _ => Err(wrong_name(picture)),
    }
}

/// A picture to resize.
#[derive(Debug)]
struct Work {
    source: PathBuf,
    /// The path of the result. An existing file is replaced.
    target: PathBuf,
    width: u32,
}

/// Resizes a picture, and returns the height and the size of the result. `step` gets the progress, and may stop the
/// work with an error.
fn resize_file(
    work: &Work,
    step: impl Fn(f64, &str) -> Result<(), TaskError>,
) -> Result<(u32, u64), TaskError> {
    if work.width == 0 {
        return Err(TaskError::invalid_input("`width` is 0, expected at least 1"));
    }
    let format = target_format(&work.target)?;
    step(0.0, "decoding")?;
    let picture = decode(&work.source)?;
    let (width, height) = (work.width, height_for(&picture, work.width)?);
    let picture = scale_height(&picture, height, |part| step(0.2 + 0.35 * part, "resizing"))?;
    // Turned by 90°, the width is scaled in the same way as the height.
    let picture = scale_height(&picture.rotate90(), width, |part| step(0.55 + 0.3 * part, "resizing"))?;
    let picture = picture.rotate270();
    step(0.85, "encoding")?;
    let encoded = encode(picture, format)?;
    write(&work.target, &encoded)?;
    Ok((height, encoded.len() as u64))
}

fn target_format(target: &Path) -> Result<ImageFormat, TaskError> {
    let format = ImageFormat::from_path(target).ok();
    format
        .filter(|format| matches!(format, ImageFormat::Jpeg | ImageFormat::Png))
        .ok_or_else(|| wrong_name(target))
}

fn wrong_name(picture: &Path) -> TaskError {
    let name = Path::new(picture.file_name().unwrap_or_default()).display();
    TaskError::invalid_input(format!("`picture` is `{name}`, expected a name ending in `.png` or `.jpg`"))
}

fn decode(source: &Path) -> Result<DynamicImage, TaskError> {
    let wrong = |what: &dyn std::fmt::Display| {
        TaskError::invalid_input(format!("`picture` is `{}`: {what}", source.display()))
    };
    let file = fs::metadata(source).map_err(|error| wrong(&error))?;
    if !file.is_file() {
        return Err(wrong(&"not a file"));
    }
    if file.len() > MAX_FILE_SIZE {
        return Err(wrong(&format_args!("{} bytes, expected at most {MAX_FILE_SIZE}", file.len())));
    }
    let bytes = fs::read(source).map_err(|error| wrong(&error))?;
    decode_bytes(bytes).map_err(|error| match error {
        ImageError::Unsupported(_) => wrong(&"neither a PNG nor a JPEG picture"),
        ImageError::Limits(_) => wrong(&format_args!("too large, expected {ACCEPTED}")),
        error => wrong(&format_args!("cannot be decoded: {error}")),
    })
}

fn decode_bytes(bytes: Vec<u8>) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    let cut_off = is_cut_off(&bytes);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) && cut_off {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early").into());
    }
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    limits.reserve(decoder.total_bytes().max(memory(width, height)))?;
    // Cameras store the orientation in which they were held.
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture.into_rgba8().into())
}

/// Returns whether the end of a JPEG file is missing: the decoder would paint the missing part grey. After the last
/// start of scan (`FF DA`), only the end of the image can be `FF D9`.
fn is_cut_off(jpeg: &[u8]) -> bool {
    let scan = jpeg.windows(2).rposition(|pair| pair == [0xFF, 0xDA]);
    !scan.is_some_and(|scan| jpeg[scan..].windows(2).any(|pair| pair == [0xFF, 0xD9]))
}

/// Returns the memory of a decoded picture, in bytes.
fn memory(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) * 4
}

/// Returns the height for a width.
fn height_for(picture: &DynamicImage, width: u32) -> Result<u32, TaskError> {
    let ratio = f64::from(picture.height()) / f64::from(picture.width());
    let height = (f64::from(width) * ratio).round().max(1.0) as u32;
    if width.max(height) > MAX_SIDE || memory(width, height) > MAX_MEMORY {
        return Err(TaskError::invalid_input(format!(
            "`width` is {width}: the result would be {width}x{height}, expected {ACCEPTED}"
        )));
    }
    Ok(height)
}

/// Scales the height and leaves the width, some columns at a time; `step` gets the finished part before each of them.
fn scale_height(
    picture: &DynamicImage,
    height: u32,
    step: impl Fn(f64) -> Result<(), TaskError>,
) -> Result<DynamicImage, TaskError> {
    let mut scaled = RgbaImage::new(picture.width(), height);
    let columns = picture.width().div_ceil(BANDS);
    for left in (0..picture.width()).step_by(columns as usize) {
        step(f64::from(left) / f64::from(picture.width()))?;
        let band = picture.crop_imm(left, 0, columns, picture.height());
        let band = band.resize_exact(band.width(), height, FilterType::Lanczos3);
        imageops::replace(&mut scaled, &band, left.into(), 0);
    }
    Ok(scaled.into())
}

fn encode(picture: DynamicImage, format: ImageFormat) -> Result<Vec<u8>, TaskError> {
    let mut encoded = Vec::new();
    match format {
        // JPEG does not support transparency.
        ImageFormat::Jpeg => {
            JpegEncoder::new_with_quality(&mut encoded, JPEG_QUALITY).encode_image(&picture.into_rgb8())
        }
        _ if is_opaque(&picture) => picture.into_rgb8().write_to(&mut Cursor::new(&mut encoded), format),
        _ => picture.write_to(&mut Cursor::new(&mut encoded), format),
    }
    .map_err(|error| TaskError::permanent(format!("cannot encode the result: {error}")))?;
    Ok(encoded)
}

fn is_opaque(picture: &DynamicImage) -> bool {
    picture.as_bytes().iter().skip(3).step_by(4).all(|alpha| *alpha == u8::MAX)
}

/// Writes a file. A missing directory is a permanent failure; a full disk may have space later, so it is a transient
/// one.
fn write(target: &Path, bytes: &[u8]) -> Result<(), TaskError> {
    fs::write(target, bytes).map_err(|error| {
        let message = format!("cannot write `{}`: {error}", target.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::Interrupted => TaskError::transient(message),
            _ => TaskError::permanent(message),
        }
    })
}

#[cfg(test)]
mod tests;
