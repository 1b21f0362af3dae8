//! The generation parameters as Exif.

/// An Exif block with nothing but a user comment, where common web interfaces look for the generation parameters.
pub(super) fn user_comment(text: &str) -> Vec<u8> {
    const LONG: u16 = 4;
    const UNDEFINED: u16 = 7;
    let comment: Vec<u8> = b"UNICODE\0".iter().copied().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
    // The first directory points to the second at byte 26, which points to the comment at byte 44.
    block.extend(directory(0x8769, LONG, 1, 26));
    block.extend(directory(0x9286, UNDEFINED, comment.len() as u32, 44));
    block.extend(comment);
    block
}

/// An image file directory with one entry and no successor.
fn directory(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend(tag.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    bytes.extend(value.to_be_bytes());
    bytes.extend([0; 4]);
    bytes
}
