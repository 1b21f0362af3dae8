//! Why a file of weights is refused.

use super::Dtype;

/// Why a file of weights is refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file could not be read.
    #[error("the file could not be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is broken or is no file of this kind.
    #[error("{}", short(.0))]
    Malformed(String),
    /// The file asks for something to be called or built that is no tensor and no plain container.
    #[error("the file calls {}, only tensors and plain containers are allowed", short(.0).escape_debug())]
    Forbidden(String),
    /// The file is well made and holds something that is not supported.
    #[error("{} is not supported", short(.0))]
    Unsupported(String),
    /// The file would need more of something than it is given.
    #[error("{what} must be at most {limit}, got {got}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
        /// How much there is, or the first amount beyond the limit.
        got: u64,
    },
    /// The file has no tensor of this name.
    #[error("the file has no tensor {:?}", short(.0))]
    Missing(String),
    /// A tensor of weights holds whole numbers.
    #[error("the tensor {:?} must hold floating point numbers, got {dtype}", short(name))]
    NotFloat {
        /// Its name.
        name: String,
        /// What it holds.
        dtype: Dtype,
    },
    /// A tensor of weights holds an infinity or no number.
    #[error("the tensor {:?} has a value that is not a number: {value} at index {index}", short(name))]
    NotFinite {
        /// Its name.
        name: String,
        /// The value, as a 32-bit number.
        value: f32,
        /// Where it stands, in row-major order.
        index: usize,
    },
    /// A tensor has another shape than its place wants.
    #[error("the tensor {:?} must have the shape {expected}, got {got:?}", short(name))]
    Shape {
        /// Its name.
        name: String,
        /// The shape that its place wants.
        expected: String,
        /// Its shape.
        got: Vec<usize>,
    },
}

impl WeightsError {
    /// The file is broken for this reason.
    pub(super) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(reason.into())
    }

    /// An error if there is more than the limit.
    pub(super) fn check_limit(what: &'static str, limit: u64, got: u64) -> Result<(), Self> {
        if got <= limit { Ok(()) } else { Err(Self::TooLarge { what, limit, got }) }
    }
}

/// The beginning of a text out of a file, which may be as long as the file.
fn short(text: &str) -> &str {
    text.char_indices().nth(400).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_as_long_as_its_file_does_not_fill_the_log() {
        let message = WeightsError::Forbidden("é\u{1b}[31m".repeat(1_000_000)).to_string();
        assert!(message.len() < 1500 && !message.contains('\u{1b}'), "{message}");
        assert_eq!(WeightsError::malformed("é".repeat(500)).to_string(), "é".repeat(400));
    }
}
