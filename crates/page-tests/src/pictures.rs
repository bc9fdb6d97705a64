//! Pictures of the page, small enough for a repository.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder as _, ImageFormat, RgbImage};

/// Bits of each colour that are kept: what is below cannot be seen, and would not compress.
const KEPT: u8 = 0b1111_1100;

/// Writes a picture of the browser as a small PNG.
pub fn write(picture: &[u8], file: &Path) {
    let small = smaller(picture);
    fs::create_dir_all(file.parent().expect("a file is in a directory")).expect("it can be made");
    fs::write(file, small).unwrap_or_else(|error| panic!("cannot write `{}`: {error}", file.display()));
}

fn smaller(picture: &[u8]) -> Vec<u8> {
    let mut pixels =
        image::load_from_memory_with_format(picture, ImageFormat::Png).expect("a PNG").into_rgb8();
    for value in pixels.iter_mut() {
        // White stays white.
        *value = (*value & KEPT) | (*value >> 6);
    }
    encoded(&pixels)
}

fn encoded(pixels: &RgbImage) -> Vec<u8> {
    let sizes = [FilterType::NoFilter, FilterType::Sub, FilterType::Up, FilterType::Paeth];
    let all = sizes.map(|filter| {
        let mut bytes = Cursor::new(Vec::new());
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, filter);
        let written =
            encoder.write_image(pixels, pixels.width(), pixels.height(), image::ExtendedColorType::Rgb8);
        written.expect("a picture can be encoded");
        bytes.into_inner()
    });
    all.into_iter().min_by_key(Vec::len).expect("there are several")
}

/// Returns a picture with colours that differ from corner to corner.
pub fn gradient(width: u32, height: u32) -> Vec<u8> {
    let part = |at: u32, of: u32| u8::try_from(at * 255 / of.max(1)).unwrap_or(u8::MAX);
    encoded(&RgbImage::from_fn(width, height, |x, y| image::Rgb([part(x, width), 96, part(y, height)])))
}
