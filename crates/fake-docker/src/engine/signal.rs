//! Signal numbers.

pub(super) const TERM: i32 = 15;
pub(super) const KILL: i32 = 9;

/// The number of a signal, given by name or number.
pub(crate) fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let upper = text.to_ascii_uppercase();
    Some(match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => KILL,
        "USR1" => 10,
        "USR2" => 12,
        "TERM" => TERM,
        "CONT" => 18,
        "STOP" => 19,
        "WINCH" => 28,
        _ => return None,
    })
}
