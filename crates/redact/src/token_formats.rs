//! Finds secrets by their format.
//!
//! Most issuers give their tokens a distinctive prefix. The prefixes are public; each has a test.

use std::{ops::Range, sync::LazyLock};

use regex::{Regex, RegexSet};

use crate::patterns::compiled;

/// One pattern each. If a pattern has a group, only the group is the secret.
const FORMATS: &[&str] = &[
    // JSON web tokens, signed, unsigned and encrypted.
    r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)*",
    // The credentials after an authorization scheme.
    r"(?i)\bbearer[ :=]+([A-Za-z0-9._~+/=:-]{16,}|[A-Za-z._~+/-]*[0-9][A-Za-z0-9._~+/=-]{4,})",
    r"(?i)\bbasic +([A-Za-z0-9+/]{8,}={0,2})",
    r#"(?i)\b(?:digest|hmac|aws4-hmac-sha256)\s+(\w+=[^\r\n'`]{8,})"#,
    // Clouds.
    r"(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|APKA|AROA)[A-Z0-9]{16}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"GOCSPX-[A-Za-z0-9_-]{20,}",
    r"\bya29\.[A-Za-z0-9_-]{16,}",
    r"\b1//0[A-Za-z0-9_-]{20,}",
    r"\bdo[opr]_v1_[a-f0-9]{32,}",
    r"\bdapi[a-f0-9]{32}",
    r"\bhv[sbr]\.[A-Za-z0-9_-]{16,}",
    r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    r"[A-Za-z0-9]{10,}\.atlasv1\.[A-Za-z0-9_-]{20,}",
    // Code and packages.
    r"gh[oprsu]_[A-Za-z0-9]{16,}",
    r"github_pat_[A-Za-z0-9_]{16,}",
    r"\bgl(?:agent|cbt|dt|ft|imt|oas|ptt|pat|rt|soat)-[A-Za-z0-9_.-]{16,}",
    r"\bGR1348941[A-Za-z0-9_-]{16,}",
    r"\bnpm_[A-Za-z0-9]{20,}",
    r"\bpypi-[A-Za-z0-9_-]{32,}",
    // Messages and mail.
    r"xox[abcdeoprs](?:-[A-Za-z0-9]+)+",
    r"\bxapp-[A-Za-z0-9-]{10,}",
    r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/-]+)",
    r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/([0-9]+/[A-Za-z0-9_-]+)",
    r"\.webhook\.office\.com/(\S+)",
    r"\b[0-9]{8,10}:[A-Za-z0-9_-]{35}\b",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"\b(?:AC|SK)[0-9a-f]{32}\b",
    r"\bkey-[0-9a-f]{32}\b",
    // Model providers.
    r"\bsk-[A-Za-z0-9_-]{16,}",
    r"\bgsk_[A-Za-z0-9]{20,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\b(?:r8|xai|pplx|csk|nvapi)[_-][A-Za-z0-9_-]{24,}",
    // Payment and shops.
    r"(?:pk|rk|sk)_(?:live|test)_[A-Za-z0-9]{8,}",
    r"\bwhsec_[A-Za-z0-9+/=]{16,}",
    r"\bshp(?:at|ca|pa|ss)_[A-Za-z0-9]{24,}",
    r"\bsq0[a-z]{3}-[A-Za-z0-9_-]{20,}",
    // Monitoring.
    r"\bgl(?:sa|c)_[A-Za-z0-9+/=_]{20,}",
    r"\bNR(?:AK|II|JS)-[A-Za-z0-9_-]{16,}",
    // Other keys.
    r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
    r"\bsbp_[a-f0-9]{32,}",
    r"\b(?:lin_api|ntn|secret)_[A-Za-z0-9]{32,}",
    // Password hashes, which can be cracked.
    r"\$(?:2[abxy]|[156]|argon2(?:id|i|d)|scrypt|pbkdf2[a-z0-9-]*|y)\$[A-Za-z0-9./+=,$-]{16,}",
    // URL parameters whose names mean a secret only there.
    r#"[?&;](?:access_?key|auth|code|key|p|pw|sid|sig|sign)=([^&\s"'<>#]+)"#,
    // Connection strings and commands with a syntax of their own.
    r"(?i)jdbc:oracle:[a-z]+:([^\s@]+)@",
    r"\b[A-Za-z0-9_.-]+:([^\s@:/]+)@(?:tcp|unix)\(",
    r#"(?i)\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?["']([^"']+)["']"#,
    r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mariadb-admin)\b[^|;\n]*? -p([^\s-]\S*)",
    r"\bsshpass\s+-p\s*(\S+)",
    r"\bredis-cli\b[^|;\n]*? -a\s+(\S+)",
    r#"\b(?:curl|wget|http|https)\b[^|;\n]*? (?:-u|--user|--proxy-user)[ =]["']?([^\s"']+:[^\s"']+)"#,
    r"(?i)^\s*(?:AUTH|HELLO [23] AUTH \S+)\s+(\S+)\s*$",
];

/// Personal data: no secret of the installation, but not for its log either.
///
/// The last label has no upper limit: 24 copies of all letters of Unicode would make this the largest expression, of 2 MB.
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r#"[^\s@<>"'`(),:;=\[\]{}|\\/&?]{1,64}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+\p{L}{2,}"#)
});
static CARD: LazyLock<Regex> = LazyLock::new(|| compiled(r"[2-6][0-9](?:[ -]?[0-9]){11,17}"));

static ALL: LazyLock<RegexSet> = LazyLock::new(|| RegexSet::new(FORMATS).expect("a test compiles each format"));
static EACH: LazyLock<Vec<Regex>> = LazyLock::new(|| FORMATS.iter().map(|format| compiled(format)).collect());

/// Tokens, hashes and credentials with a known format.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = vec![];
    for format in ALL.matches(text) {
        let Some(format) = EACH.get(format) else { continue };
        found.extend(format.captures_iter(text).filter_map(|captures| {
            let secret = captures.get(1).or_else(|| captures.get(0))?;
            Some(secret.range())
        }));
    }
    found.sort_by_key(|range: &Range<usize>| (range.start, std::cmp::Reverse(range.end)));
    found
}

/// E-mail addresses and card numbers.
pub(super) fn find_personal_data(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<_> = EMAIL.find_iter(text).map(|found| found.range()).collect();
    found.extend(CARD.find_iter(text).map(|found| found.range()).filter(|range| is_card(text, range)));
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    found
}

/// Whether the digits can be a card number: the right length, a valid Luhn checksum, and no part of a longer number.
fn is_card(text: &str, range: &Range<usize>) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || matches!(char, '.' | '_');
    let alone = !text[..range.start].ends_with(is_part) && !text[range.end..].starts_with(char::is_alphanumeric);
    let digits: Vec<u32> = text[range.clone()].chars().filter_map(|char| char.to_digit(10)).collect();
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| if index % 2 == 1 { doubled(*digit) } else { *digit })
        .sum();
    alone && (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_does_not_match_the_empty_text() {
        for format in FORMATS {
            assert!(!compiled(format).is_match(""), "{format}");
        }
        assert_eq!(ALL.len(), EACH.len());
        assert!(!EMAIL.is_match("") && !CARD.is_match(""));
    }
}
