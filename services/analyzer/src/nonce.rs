//! A number that nobody can foresee, which tells our own lines in a prompt from those that a container printed.

use rustls::crypto::ring;

/// A fresh one, in hexadecimal: 128 bits.
pub fn fresh() -> String {
    let mut bytes = [0; 16];
    if ring::default_provider().secure_random.fill(&mut bytes).is_err() {
        // The system has none; it is then hard to foresee, which the bars before the lines do not rest on.
        bytes = fastrand::u128(..).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same_and_each_is_one_word() {
        let (one, other) = (fresh(), fresh());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
    }
}
