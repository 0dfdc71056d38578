//! Suggests the name that was probably meant.

/// The candidate that is the same key in another section, begins with `name`, or differs from it in at most a third of
/// its letters.
pub(crate) fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    candidates
        .map(|candidate| {
            let close = last(&candidate) == last(name) || candidate.starts_with(name);
            let distance = if close { 1 } else { strsim::levenshtein(name, &candidate) };
            (distance, candidate)
        })
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len())
        .map(|(_, candidate)| candidate)
}
