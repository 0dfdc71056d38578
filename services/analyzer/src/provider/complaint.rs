//! What a server says in an error: what it complains of, to mend the request, and a word of it that may be told on.

use serde_json::Value;

/// So much of an error is looked at.
const ENOUGH: usize = 8 * 1024;

/// What a server says in an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// All of it, in small letters; never told on.
    text: String,
    /// What kind of error the server calls it.
    word: Option<String>,
}

impl Complaint {
    /// From the body of an error, whatever its form.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(ENOUGH)]).to_lowercase();
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        // {"error": {"code": …, "type": …}}, {"type": "error", "error": {"type": …}}, {"error": "…"}, {"code": …}
        let error = json.get("error").unwrap_or(&json);
        let words = ["code", "type"].iter().filter_map(|name| error.get(*name)?.as_str());
        let word = words.chain(error.as_str()).find(|word| is_word(word)).map(str::to_owned);
        Self { text, word }
    }

    /// Whether it speaks of `thing`, written in small letters.
    pub(super) fn is_of(&self, thing: &str) -> bool {
        self.text.contains(thing)
    }

    /// What kind of error the server calls it, where that is a word such as `model_not_found`.
    pub(super) fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }
}

/// Whether it is a word that an API has for its errors. A key is none: it has digits, or capitals, or is longer.
fn is_word(text: &str) -> bool {
    (3..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_an_api_has_for_it_is_told_on() {
        for (body, word) in [
            (
                r#"{"error":{"message":"Incorrect API key: sk-1","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Some("invalid_api_key"),
            ),
            (r#"{"error":{"message":"no","type":"server_error","code":null}}"#, Some("server_error")),
            (r#"{"error":{"message":"no","type":"server_error","code":500}}"#, Some("server_error")),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Some("overloaded_error"),
            ),
            (r#"{"error":"model 'x' not found, key sk-1"}"#, None),
            (r#"{"error":{"type":"sk-proj-ABC123"}}"#, None),
            ("<html>502</html>", None),
            ("", None),
            ("null", None),
            ("[1,2]", None),
        ] {
            assert_eq!(Complaint::read(body.as_bytes()).word(), word, "{body}");
        }
    }

    #[test]
    fn what_it_complains_of_is_found_whatever_the_form() {
        let complaint = Complaint::read(br#"{"detail":"Unsupported parameter: 'MAX_TOKENS'"}"#);
        assert!(complaint.is_of("max_tokens") && !complaint.is_of("temperature"));
        assert!(Complaint::read(b"\xff temperature \xfe").is_of("temperature"));
    }
}
