//! The detectors that need no configuration, and the secrets that they find in a text.

use std::ops::Range;

use crate::{key_values, private_keys, random_text, token_formats, url_credentials};

/// Finds the secrets of one kind in a text.
type Detector = fn(&str) -> Vec<Range<usize>>;

/// The secrets in `text`, found by all detectors but those of personal data.
pub(crate) fn secrets(text: &str) -> Vec<&str> {
    let detectors: [Detector; 5] =
        [private_keys::find, url_credentials::find, token_formats::find, key_values::find, random_text::find];
    detectors.iter().flat_map(|find| find(text)).filter_map(|range| text.get(range)).collect()
}
