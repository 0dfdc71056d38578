//! An unpredictable number that tells HemoStat's own lines in a prompt from those that a container printed.

use rustls::crypto::ring;

/// 128 random bits, in hexadecimal.
pub fn generate() -> String {
    let mut bytes = [0; 16];
    if ring::default_provider().secure_random.fill(&mut bytes).is_err() {
        // The system's random source failed. This one is weaker, but the bar before each line of data does not depend on it.
        bytes = fastrand::u128(..).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ_and_each_is_one_word() {
        let (one, other) = (generate(), generate());
        assert_ne!(one, other);
        assert!(one.len() == 32 && one.bytes().all(|b| b.is_ascii_hexdigit()), "{one}");
    }
}
