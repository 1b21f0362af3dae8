//! What must be known of a JPEG file before it is decoded: where it ends, and of how many scans it is made.

/// Start of image, and the first byte of the marker behind it.
const BEGIN: [u8; 3] = [0xff, 0xd8, 0xff];
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Whether a file means to be a JPEG.
pub(super) fn is_jpeg(file: &[u8]) -> bool {
    file.starts_with(&BEGIN)
}

/// The file up to its end marker, or nothing if it breaks off: the decoder makes up what is missing, and half a grey
/// picture is none. What lies inside of a segment (a thumbnail) or behind the end (a second picture) has ends of its own.
pub(super) fn whole(file: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    loop {
        at += file.get(at..)?.windows(2).position(is_marker)?;
        let [_, marker] = *file.get(at..at + 2)? else { return None };
        at += 2;
        if marker == END_OF_IMAGE {
            return file.get(..at);
        }
        let [high, low] = *file.get(at..at + 2)? else { return None };
        at += usize::from(u16::from_be_bytes([high, low]));
    }
}

/// In the data of a scan a byte of ones is followed by zero, or is a restart; before a marker it may be repeated.
fn is_marker(pair: &[u8]) -> bool {
    matches!(pair, [0xff, marker] if !matches!(marker, 0 | 0xd0..=0xd7 | 0xff))
}

/// How many scans a decoder may find in a file, whatever it makes of its segments. Those of a thumbnail are counted
/// too, and what looks like one within a colour profile: about one in 64 kB.
pub(super) fn scans(file: &[u8]) -> u64 {
    file.windows(2).filter(|pair| *pair == [0xff, START_OF_SCAN]).count() as u64
}
