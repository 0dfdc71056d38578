//! The body of a provider's error answer: what it complains about, and its error code.

use serde_json::Value;

/// Bytes of a body that are searched.
const MAX_SEARCHED: usize = 8 * 1024;

/// The body of an error answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// In lower case. Never logged or recorded: it may repeat the key or the prompt.
    text: String,
    code: Option<String>,
}

impl ErrorBody {
    pub(super) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(MAX_SEARCHED)]).to_lowercase();
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        // {"error": {"code": …, "type": …}}, {"type": "error", "error": {"type": …}}, {"error": "…"}, {"code": …}
        let error = json.get("error").unwrap_or(&json);
        let words = ["code", "type"].iter().filter_map(|name| error.get(*name)?.as_str());
        let code = words.chain(error.as_str()).find(|word| is_code(word)).map(str::to_owned);
        Self { text, code }
    }

    /// Whether it mentions `word`, which is in lower case.
    pub(super) fn mentions(&self, word: &str) -> bool {
        self.text.contains(word)
    }

    /// The API's error code, such as `model_not_found`.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// Whether a text looks like an error code. A key does not: it has digits or capitals, or is longer.
fn is_code(text: &str) -> bool {
    (3..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_code_is_passed_on() {
        for (body, code) in [
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
            assert_eq!(ErrorBody::parse(body.as_bytes()).code(), code, "{body}");
        }
    }

    #[test]
    fn what_a_server_complains_about_is_found_in_any_format() {
        let body = ErrorBody::parse(br#"{"detail":"Unsupported parameter: 'MAX_TOKENS'"}"#);
        assert!(body.mentions("max_tokens") && !body.mentions("temperature"));
        assert!(ErrorBody::parse(b"\xff temperature \xfe").mentions("temperature"));
    }
}
