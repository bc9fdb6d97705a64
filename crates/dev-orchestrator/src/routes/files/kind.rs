//! The kind of a file, by its first bytes. Nothing else decides how a browser shows it: a name or a declared type could
//! make it run what somebody has uploaded.

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Jpeg,
    Gif,
    WebP,
    /// Text in UTF-8, also SVG and HTML.
    Text,
    Other,
}

impl Kind {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Text => "text/plain; charset=utf-8",
            Self::Other => "application/octet-stream",
        }
    }

    /// Whether a browser offers to save it, instead of showing it.
    pub(super) fn is_download(self) -> bool {
        self == Self::Other
    }
}

/// Returns the kind of a file that begins with these bytes. Without `is_whole`, more bytes follow.
pub(super) fn of(beginning: &[u8], is_whole: bool) -> Kind {
    match beginning {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Kind::Png,
        [0xff, 0xd8, 0xff, ..] => Kind::Jpeg,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Kind::WebP,
        text if is_text(text, is_whole) => Kind::Text,
        _ => Kind::Other,
    }
}

fn is_text(beginning: &[u8], is_whole: bool) -> bool {
    let is_readable = match std::str::from_utf8(beginning) {
        Ok(_) => true,
        // The last character may be incomplete.
        Err(error) => !is_whole && error.error_len().is_none(),
    };
    is_readable && !beginning.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        let rows: [(&[u8], Kind); 11] = [
            (b"\x89PNG\r\n\x1a\n...", Kind::Png),
            (b"\xff\xd8\xff\xe0", Kind::Jpeg),
            (b"GIF89a", Kind::Gif),
            (b"RIFF\x01\x02\x03\xffWEBPVP8 ", Kind::WebP),
            (b"RIFF....WAVE", Kind::Text),
            (b"<svg onload=\"alert(1)\">", Kind::Text),
            (b"<html>", Kind::Text),
            ("текст".as_bytes(), Kind::Text),
            (b"", Kind::Text),
            (b"a\0b", Kind::Other),
            (b"\xff\xfe", Kind::Other),
        ];
        for (beginning, kind) in rows {
            assert_eq!(of(beginning, true), kind, "{beginning:?}");
        }
    }

    #[test]
    fn a_character_may_be_cut_only_where_more_follows() {
        let cut = &"aж".as_bytes()[..2];
        assert_eq!((of(cut, false), of(cut, true)), (Kind::Text, Kind::Other));
        assert_eq!(of(b"\xffa", false), Kind::Other);
    }
}
