//! Decides by its name whether a value is secret: yes for
//! `DB_PASSWORD`, `apiKey`, `X-Auth-Token`, `aws_secret_access_key`; no for `PASSWORD_FILE`, `token_ttl`,
//! `max_tokens` and `key`.

/// A name with one of these words means a secret.
const WORDS: &str = "\
    authorization bearer clave contrasena contraseña cookie cookies credential credentials csrf dsn jwt kennwort \
    masterauth mdp otp parola pass passcode passphrase passwd password passwords passwort pat pgpassword psk pw pwd \
    requirepass secret secrets senha session sessionid sessid phpsessid jsessionid signature token tokens totp webhook \
    xsrf пароль 密码 密碼 パスワード";

/// Parts of a word that mean a secret: `mypassword`, `authtoken`.
const PARTS: &str = "\
    accesskey apikey apitoken authtoken credential passphrase passwd password privatekey secret accesstoken \
    refreshtoken sessiontoken";

/// Words before `key` that mean a secret: `api_key`, `PrivateKey`.
const KEYS: &str = "\
    access account admin api app application auth client cookie decryption deploy encrypt encryption hmac ingest jwt \
    license master private registration root rsa secret service session shared sign signing ssh ssl storage \
    subscription tls webhook write";

/// Last words of names that describe a secret but hold none: its location, lifetime or number.
const ABOUT: &str = "\
    age alg algorithm attempts budget bytes count dir directory domain enabled encoding endpoint error errors exp \
    expiration expires expiry field file format header hint issuer len length lifetime limit max min name path policy \
    port provider rate required rotation samesite size status store timeout ttl type usage valid version";

/// Whether a value under this name is secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    // A longer text is no name.
    if name.len() > 128 {
        return false;
    }
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if words.len() > 1 && is_among(ABOUT, last) {
        return false;
    }
    let is_key = |word: &str| matches!(word, "key" | "keys");
    last == "auth"
        || words.iter().any(|word| {
            is_among(WORDS, word)
                || (!word.contains("tokeni") && PARTS.split_whitespace().any(|part| word.contains(part)))
        })
        || words.windows(2).any(|pair| is_among(KEYS, &pair[0]) && is_key(&pair[1]))
        || words.windows(2).any(|pair| pair == ["connection", "string"])
}

/// Whether a name may hold a count: `max_tokens=512` is a count, `tokens=abc` is not.
pub(crate) fn is_count_name(name: &str) -> bool {
    words(name).last().is_some_and(|last| matches!(last.as_str(), "tokens" | "sessions" | "cookies" | "secrets"))
}

/// Whether a name means an id or a digest, which looks random but is evidence.
pub(crate) fn is_id_name(name: &str) -> bool {
    const ID_WORDS: &str = "\
        checksum commit container digest etag fingerprint guid hash id ids image integrity layer md5 node request rev \
        revision sandbox sha sha1 sha256 span task trace traceid spanid uuid version";
    words(name).iter().any(|word| is_among(ID_WORDS, word))
}

fn is_among(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

/// The words of a name in lower case: `dbPassword2`, `DB_PASSWORD` and `db.password` are `db` and `password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut chars = name.chars().peekable();
    while let Some(char) = chars.next() {
        let lower_follows = chars.peek().is_some_and(|next| next.is_lowercase());
        let begins = match before {
            Some(before) if char.is_uppercase() => before.is_lowercase() || (before.is_uppercase() && lower_follows),
            _ => false,
        };
        if (begins || !char.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if char.is_alphanumeric() {
            word.extend(char.to_lowercase());
        }
        before = Some(char);
    }
    words.push(word);
    // `password1` is a password; `md5` and `sha256` are words.
    let without_number = |word: String| match word.trim_end_matches(|char: char| char.is_ascii_digit()) {
        "" | "md" | "sha" => word,
        stem => stem.to_owned(),
    };
    words.into_iter().filter(|word| !word.is_empty()).map(without_number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_decides_whether_its_value_is_secret() {
        for name in [
            "password",
            "PASSWORD",
            "DB_PASSWORD",
            "dbPassword",
            "db.password",
            "mypassword",
            "PGPASSWORD",
            "MYSQL_PWD",
            "api_key",
            "apiKey",
            "APIKey",
            "x-api-key",
            "apikey",
            "AWS_SECRET_ACCESS_KEY",
            "privateKey",
            "token",
            "X-Auth-Token",
            "GITHUB_TOKEN",
            "session",
            "session_id",
            "JSESSIONID",
            "Set-Cookie",
            "Authorization",
            "REDIS_AUTH",
            "client_secret",
            "SECRET_KEY_BASE",
            "smtp_pass",
            "requirepass",
            "SLACK_WEBHOOK_URL",
            "SENTRY_DSN",
            "password2",
            "ConnectionString",
            "Passwort",
            "пароль",
            "AccountKey",
            "X-Amz-Signature",
            "license_key",
            "secret_id",
            "encryptionKey",
            "POSTGRES_PASSWORD",
            "passphrase",
            "csrf_token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "",
            "_",
            "key",
            "keys",
            "monkey",
            "keyboard",
            "user",
            "PASSWORD_FILE",
            "token_ttl",
            "session_timeout",
            "password_length",
            "cookie_domain",
            "tokenizer",
            "compass",
            "passenger",
            "bypass_proxy",
            "host",
            "url",
            "author",
            "primary_key",
            "token_type",
            "secret_name",
            "sessions_count",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
