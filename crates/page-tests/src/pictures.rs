//! Pictures of the page, small enough for a repository.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};

/// Bits of each part of a colour that are kept: what is below cannot be seen, and would not compress.
const KEPT: u8 = 0b1111_1100;

/// So many colours has a picture with a palette.
const PALETTE: usize = 256;

type Colour = [u8; 3];

/// Writes a picture of the browser as a small PNG.
pub fn write(picture: &[u8], file: &Path) {
    let pixels = image::load_from_memory_with_format(picture, ImageFormat::Png).expect("a PNG").into_rgb8();
    fs::create_dir_all(file.parent().expect("a file is in a directory")).expect("it can be made");
    fs::write(file, encoded(&pixels))
        .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", file.display()));
}

/// Returns a picture whose colours differ from corner to corner, as PNG: in steps, so that a palette has them all.
pub fn gradient(width: u32, height: u32) -> Vec<u8> {
    let part = |at: u32, of: u32| u8::try_from(at * 16 / of.max(1) * 17).unwrap_or(u8::MAX);
    encoded(&RgbImage::from_fn(width, height, |x, y| image::Rgb([part(x, width), 96, part(y, height)])))
}

/// Encodes a picture with the colours that it has most often. A page has few: the others are edges of letters.
fn encoded(pixels: &RgbImage) -> Vec<u8> {
    let colours: Vec<Colour> = pixels.pixels().map(|pixel| pixel.0.map(rounded)).collect();
    let mut counts: HashMap<Colour, usize> = HashMap::new();
    for colour in &colours {
        *counts.entry(*colour).or_default() += 1;
    }
    let mut by_count: Vec<Colour> = counts.keys().copied().collect();
    by_count.sort_by_key(|colour| (std::cmp::Reverse(counts[colour]), *colour));
    let palette = &by_count[..by_count.len().min(PALETTE)];
    let nearest: HashMap<Colour, u8> =
        by_count.iter().map(|colour| (*colour, index(*colour, palette))).collect();
    let indices: Vec<u8> = colours.iter().map(|colour| nearest[colour]).collect();

    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(Compression::High);
    // Neighbours in a palette have nothing in common.
    encoder.set_filter(Filter::NoFilter);
    let mut writer = encoder.write_header().expect("a picture can be encoded");
    writer.write_image_data(&indices).expect("a picture can be encoded");
    writer.finish().expect("a picture can be encoded");
    bytes
}

/// Drops what cannot be seen; white stays white.
fn rounded(part: u8) -> u8 {
    (part & KEPT) | (part >> 6)
}

fn index(colour: Colour, palette: &[Colour]) -> u8 {
    let distance = |other: &Colour| -> u32 {
        colour.iter().zip(other).map(|(left, right)| u32::from(left.abs_diff(*right)).pow(2)).sum()
    };
    let nearest = (0..palette.len()).min_by_key(|at| distance(&palette[*at])).expect("a picture has pixels");
    u8::try_from(nearest).expect("a palette has at most 256 colours")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_size_and_its_colours_nearly() {
        let bytes = gradient(300, 200);
        let read = image::load_from_memory_with_format(&bytes, ImageFormat::Png).expect("a PNG").into_rgb8();
        assert_eq!(read.dimensions(), (300, 200));
        let last = read.get_pixel(299, 199).0;
        assert!(last[0] > 248 && last[2] > 248 && last[1].abs_diff(96) < 8, "{last:?}");
    }
}
