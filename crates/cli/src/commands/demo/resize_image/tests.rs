//! The task with valid and with invalid input.

use std::cell::RefCell;

use avtomatika_worker::ErrorCode;
use image::{ExtendedColorType, ImageEncoder, Rgba};
use tempfile::TempDir;

use super::*;
use crate::commands::demo::gallery::PICTURES;

/// Returns a directory with the demo's pictures.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for picture in PICTURES {
        fs::write(directory.path().join(picture.name), picture.bytes).unwrap();
    }
    directory
}

fn attempt(directory: &TempDir, source: &str, target: &str, width: u32) -> Result<(u32, u64), TaskError> {
    let (source, target) = (directory.path().join(source), directory.path().join(target));
    resize_file(&Work { source, target, width }, |_, _| Ok(()))
}

#[track_caller]
fn refused(result: Result<(u32, u64), TaskError>, code: &ErrorCode, words: &str) {
    let error = result.expect_err("bad input");
    assert_eq!(error.code(), code, "{error}");
    assert!(error.message().contains(words), "{error}");
}

/// Returns a PNG whose header declares this size, without the data for it.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder.write_image(&[0], 1, 1, ExtendedColorType::L8).unwrap();
    // The header: 8 bytes of signature, 4 of length, then `IHDR`, width, height, 5 more, and its checksum.
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_picture_is_resized_and_its_progress_is_sent() {
    let directory = directory();
    let stages = RefCell::new(Vec::new());
    let task = Work {
        source: directory.path().join("landscape.jpg"),
        target: directory.path().join("small.png"),
        width: 160,
    };
    let (height, bytes) = resize_file(&task, |progress, message| {
        stages.borrow_mut().push((progress, message.to_owned()));
        Ok(())
    })
    .unwrap();

    assert_eq!(height, 120);
    assert_eq!(bytes, fs::metadata(&task.target).unwrap().len());
    let picture = image::open(&task.target).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (160, 120));
    // The sky is blue above and pale at the horizon; turning the picture has not mirrored it.
    let (top, horizon) = (picture.get_pixel(80, 1), picture.get_pixel(40, 50));
    assert!(top[2] > top[0] && horizon[0] > 180, "{top:?} {horizon:?}");
    assert!(picture.get_pixel(99, 56)[0] > 240, "the sun is on the right");

    let stages = stages.into_inner();
    assert!(stages.is_sorted_by(|before, after| before.0 < after.0), "{stages:?}");
    assert!(stages.len() <= 10, "beyond 10 messages per second, some would be dropped: {stages:?}");
    for stage in ["decoding", "resizing", "encoding"] {
        assert!(stages.iter().any(|(_, message)| message == stage), "{stages:?}");
    }
}

#[test]
fn bands_join_without_a_seam() {
    let picture = image::load_from_memory(PICTURES[0].bytes).unwrap().crop_imm(600, 300, 100, 500);
    let bands = scale_height(&picture, 90, |_| Ok(())).unwrap();
    let whole = picture.to_rgba8();
    let whole = imageops::resize(&whole, picture.width(), 90, FilterType::Lanczos3);
    assert!(bands.into_rgba8() == whole);
}

#[test]
fn transparency_is_kept_if_the_format_supports_it() {
    let directory = directory();
    let glass = RgbaImage::from_pixel(40, 20, Rgba([200, 10, 10, 128]));
    glass.save(directory.path().join("glass.png")).unwrap();
    attempt(&directory, "glass.png", "small.png", 4).unwrap();
    let small = image::open(directory.path().join("small.png")).unwrap().into_rgba8();
    assert_eq!(small.get_pixel(2, 1)[3], 128);
    attempt(&directory, "glass.png", "small.jpg", 4).unwrap();
}

#[test]
fn an_extreme_shape_keeps_at_least_a_pixel() {
    let directory = directory();
    RgbaImage::new(1000, 1).save(directory.path().join("line.png")).unwrap();
    let (height, _) = attempt(&directory, "line.png", "small.png", 3).unwrap();
    assert_eq!(height, 1);
    RgbaImage::new(1, 1000).save(directory.path().join("line.png")).unwrap();
    refused(
        attempt(&directory, "line.png", "tall.png", 400),
        &ErrorCode::InvalidInput,
        "the result would be 400x400000",
    );
}

#[test]
fn files_that_are_not_pictures_are_invalid_input() {
    let directory = directory();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    write("notes.jpg", b"not a picture at all");
    write("empty.png", b"");
    write("short.png", &PICTURES[2].bytes[..PICTURES[2].bytes.len() / 2]);
    write("short.jpg", &PICTURES[0].bytes[..PICTURES[0].bytes.len() / 2]);
    write("header.jpg", &PICTURES[0].bytes[..20]);
    write("picture.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;");
    for (source, words) in [
        ("missing.jpg", "No such file"),
        (".", "not a file"),
        ("notes.jpg", "neither a PNG nor a JPEG"),
        ("empty.png", "neither a PNG nor a JPEG"),
        ("picture.gif", "neither a PNG nor a JPEG"),
        ("short.png", "cannot be decoded"),
        ("short.jpg", "ends too early"),
        ("header.jpg", "ends too early"),
    ] {
        refused(attempt(&directory, source, "small.png", 40), &ErrorCode::InvalidInput, words);
        assert!(!directory.path().join("small.png").exists(), "{source}");
    }
}

#[test]
fn a_small_file_that_declares_an_enormous_picture_is_refused() {
    let directory = directory();
    // Too wide, too high, and too large as a whole.
    for (width, height) in [(50_000, 50_000), (1, u32::MAX >> 1), (11_999, 11_999)] {
        fs::write(directory.path().join("bomb.png"), png_header(width, height)).unwrap();
        let result = attempt(&directory, "bomb.png", "small.png", 40);
        refused(result, &ErrorCode::InvalidInput, "too large, expected at most 12000 pixels a side");
    }
}

#[test]
fn the_text_of_the_limits_matches_the_numbers() {
    assert_eq!(
        ACCEPTED,
        format!("at most {MAX_SIDE} pixels a side and {} million in all", MAX_MEMORY / 4_000_000)
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = directory();
    let file = fs::File::create(directory.path().join("huge.jpg")).unwrap();
    file.set_len(MAX_FILE_SIZE + 1).unwrap();
    refused(attempt(&directory, "huge.jpg", "small.png", 40), &ErrorCode::InvalidInput, "expected at most");
}

#[test]
fn an_impossible_width_is_invalid_input() {
    let directory = directory();
    refused(attempt(&directory, "landscape.jpg", "x.jpg", 0), &ErrorCode::InvalidInput, "`width` is 0");
    for width in [MAX_SIDE + 1, u32::MAX] {
        refused(
            attempt(&directory, "landscape.jpg", "x.jpg", width),
            &ErrorCode::InvalidInput,
            "pixels a side",
        );
    }
}

#[test]
fn a_target_that_cannot_be_written_is_named_with_the_reason() {
    let directory = directory();
    for target in ["x.gif", "x", ".jpg", "x.jpg/"] {
        if target == "x.jpg/" {
            // A name that ends in a slash stands for a directory, so no file can be written.
            refused(attempt(&directory, "landscape.jpg", target, 40), &ErrorCode::Permanent, "cannot write");
        } else {
            refused(
                attempt(&directory, "landscape.jpg", target, 40),
                &ErrorCode::InvalidInput,
                "expected a name ending in",
            );
        }
    }
    let result = attempt(&directory, "landscape.jpg", "nowhere/x.jpg", 40);
    refused(result, &ErrorCode::Permanent, "cannot write");
}

#[test]
fn a_cancelled_task_stops() {
    let directory = directory();
    let task = Work {
        source: directory.path().join("landscape.jpg"),
        target: directory.path().join("small.jpg"),
        width: 400,
    };
    let result =
        resize_file(
            &task,
            |progress, _| {
                if progress > 0.5 { Err(TaskError::transient("cancelled")) } else { Ok(()) }
            },
        );
    refused(result, &ErrorCode::Transient, "cancelled");
    assert!(!task.target.exists());
}

#[test]
fn a_result_is_named_after_its_picture() {
    assert_eq!(result_name(Path::new("/t/in/landscape.jpg"), 400).unwrap(), "landscape-400.jpg");
    assert_eq!(result_name(Path::new("a.b.png"), 7).unwrap(), "a.b-7.png");
    let error = result_name(Path::new("/t/in/landscape"), 400).unwrap_err();
    assert!(error.message().contains("`landscape`, expected a name ending in"), "{error}");
}
