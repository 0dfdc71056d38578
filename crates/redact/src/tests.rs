use proptest::prelude::*;

use crate::{KnownSecrets, MARK, Patterns, Redacted, Redactor, patterns::MAX_PATTERNS, strip_control_characters};

fn redacted(text: &str) -> String {
    Redactor::default().redact(text).text
}

/// Texts and their redacted form.
fn check(rows: &[(&str, &str)]) {
    for (text, left) in rows {
        assert_eq!(redacted(text), *left, "{text:?}");
    }
}

#[test]
fn tokens_are_found_by_their_format() {
    // Assembled here, so that no secret scanner takes them for real ones.
    let of = |prefix: &str, body: &str| format!("{prefix}{body}");
    let (hex, letters) = ("0123456789abcdef0123456789abcdef", "Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2");
    for token in [
        of("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.", "c2lnbmF0dXJl"),
        of("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0", "."),
        of("eyJhbGciOiJSU0EtT0FFUCJ9.a1.b2.", "c3.d4"),
        of("AKIA", "IOSFODNN7EXAMPLE"),
        of("ASIA", "IOSFODNN7EXAMPLE"),
        of("AIza", &letters[..35]),
        of("GOCSPX-", &letters[..28]),
        of("ya29.", letters),
        of("1//0", letters),
        of("dop_v1_", &hex.repeat(2)),
        of("dapi", hex),
        of("hvs.", letters),
        of("dckr_pat_", &letters[..27]),
        of("ghp_", letters),
        of("gho_", letters),
        of("ghs_", letters),
        of("github_pat_", letters),
        of("glpat-", &letters[..20]),
        of("gldt-", &letters[..20]),
        of("GR1348941", &letters[..20]),
        of("npm_", letters),
        of("pypi-", letters),
        of("xoxb-", "123456789012-1234567890123-abc"),
        of("xoxp-", "1-2-3-abcdef"),
        of("xapp-", "1-A0123456789-1234567890"),
        of("SG.", &format!("{}.{}", &letters[..22], letters)),
        of("SK", hex),
        of("key-", hex),
        of("123456789:", &letters[..35]),
        of("sk-", letters),
        of("sk-proj-", letters),
        of("sk-ant-api03-", letters),
        of("gsk_", letters),
        of("hf_", letters),
        of("r8_", letters),
        of("sk_live_", &letters[..24]),
        of("rk_test_", &letters[..24]),
        of("whsec_", letters),
        of("shpat_", hex),
        of("sq0csp-", letters),
        of("glsa_", letters),
        of("NRAK-", &letters[..27]),
        of("AGE-SECRET-KEY-1", "QQQQQQQQQQQQQQQQQQQQQQQQQQQQ"),
        of("sbp_", hex),
        of("lin_api_", letters),
        of("$2b$12$", "abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234"),
        of("$argon2id$", "v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b2dWRWJTmaasIj"),
    ] {
        check(&[(&format!("it said {token} and went on"), "it said [redacted] and went on")]);
        check(&[(&format!("({token})"), "([redacted])")]);
    }
}

#[test]
fn values_are_found_by_their_names() {
    check(&[
        ("password=hunter2", "password=[redacted]"),
        ("DB_PASSWORD=hunter2 DB_HOST=db", "DB_PASSWORD=[redacted] DB_HOST=db"),
        ("PASSWORD: hunter2", "PASSWORD: [redacted]"),
        ("password: correct horse battery staple", "password: [redacted]"),
        ("2026-11-25 INFO password: hunter2 user: bob", "2026-11-25 INFO password: [redacted] user: bob"),
        (r#"{"password": "hun\"ter2", "user": "bob"}"#, r#"{"password": "[redacted]", "user": "bob"}"#),
        (r#"{"msg":"{\"token\":\"abc\",\"n\":1}"}"#, r#"{"msg":"{\"token\":\"[redacted]\",\"n\":1}"}"#),
        ("{'api_key': 'abc', 'n': 1}", "{'api_key': '[redacted]', 'n': 1}"),
        (r#":secret=>"abc", :n=>1"#, r#":secret=>"[redacted]", :n=>1"#),
        (r#"Config { token: Some("abc def"), n: 1 }"#, r#"Config { token: Some("[redacted]"), n: 1 }"#),
        ("secret: {\"a\": \"b\"} n: 1", "secret: [redacted] n: 1"),
        ("apiKey=abc,n=1", "apiKey=[redacted],n=1"),
        ("API Key: abc123", "API Key: [redacted]"),
        ("secret key = abc", "secret key = [redacted]"),
        ("MYSQL_PWD=a,b;c&d", "MYSQL_PWD=[redacted]"),
        ("Server=db;User Id=sa;Password=hunter2;Encrypt=true", "Server=db;User Id=sa;Password=[redacted];Encrypt=true"),
        ("AccountName=x;AccountKey=YWJjZA==;Suffix=y", "AccountName=x;AccountKey=[redacted];Suffix=y"),
        ("host=db password='a b' user=app", "host=db password='[redacted]' user=app"),
        ("/login?user=bob&password=hunter2&next=/", "/login?user=bob&password=[redacted]&next=/"),
        ("/x?key=abc&n=1", "/x?key=[redacted]&n=1"),
        ("/x?n=1&sig=a%2Fb", "/x?n=1&sig=[redacted]"),
        ("X-Amz-Signature=0a1b&X-Amz-Date=20261125", "X-Amz-Signature=[redacted]&X-Amz-Date=20261125"),
        ("data: password%3Dhunter2%26user%3Dbob", "data: password%3D[redacted]%26user%3Dbob"),
        ("<db:password type=\"text\">hunter2</db:password>", "<db:password type=\"text\">[redacted]</db:password>"),
        ("export TOKEN=abc", "export TOKEN=[redacted]"),
        ("- password: a b c", "- password: [redacted]"),
        ("passwd = abc # old", "passwd = [redacted]"),
        ("SESSION_ID=abc", "SESSION_ID=[redacted]"),
        ("Set-Cookie: sid=abc; Path=/; HttpOnly", "Set-Cookie: [redacted]"),
        ("cookie: a=1; b=2", "cookie: [redacted]"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "Authorization: [redacted]"),
        ("authorization=Bearer abc status=200", "authorization=[redacted] status=200"),
        ("curl -H 'Authorization: Token abc' http://api/x", "curl -H 'Authorization: [redacted]' http://api/x"),
        (r#"-H "X-Api-Key: abc" -d x"#, r#"-H "X-Api-Key: [redacted]" -d x"#),
        ("sent bearer 0123456789abcdef0", "sent bearer [redacted]"),
        ("app --password hunter2 --port 80", "app --password [redacted] --port 80"),
        ("app --password=hunter2 --port 80", "app --password=[redacted] --port 80"),
        (r#"["app","--api-key","abc","-v"]"#, r#"["app","--api-key","[redacted]","-v"]"#),
        ("mysql -uroot -phunter2 shop", "mysql -uroot -p[redacted] shop"),
        ("sshpass -p hunter2 ssh db", "sshpass -p [redacted] ssh db"),
        ("redis-cli -h db -a hunter2 PING", "redis-cli -h db -a [redacted] PING"),
        ("curl -s -u bob:hunter2 http://x/", "curl -s -u [redacted] http://x/"),
        ("redis-server --requirepass hunter2", "redis-server --requirepass [redacted]"),
        ("CREATE USER a IDENTIFIED BY 'hunter2'", "CREATE USER a IDENTIFIED BY '[redacted]'"),
        ("ALTER ROLE a WITH PASSWORD 'hunter2'", "ALTER ROLE a WITH PASSWORD '[redacted]'"),
        ("the password is Hunter2", "the password is [redacted]"),
        ("your new password was set to x9!", "your new password was set to x9!"),
        ("пароль: секрет", "пароль: [redacted]"),
        ("pass\u{200b}word=hunter2", "password=[redacted]"),
        ("\u{1b}[1mpassword\u{1b}[0m=hunter2", "password=[redacted]"),
        ("a=1\npassword: x y\nb=2", "a=1\npassword: [redacted]\nb=2"),
    ]);
}

#[test]
fn credentials_in_urls_are_removed() {
    check(&[
        ("postgres://app:hunter2@db:5432/shop", "postgres://[redacted]@db:5432/shop"),
        ("to postgresql+asyncpg://app:p%40ss@db/shop?x=1,", "to postgresql+asyncpg://[redacted]@db/shop?x=1,"),
        ("redis://:hunter2@cache:6379/0", "redis://[redacted]@cache:6379/0"),
        ("https://abcdef@sentry.example/1", "https://[redacted]@sentry.example/1"),
        ("mongodb://u:p@a,b:27017/x", "mongodb://[redacted]@a,b:27017/x"),
        ("mongodb://u:p@ss@a/x", "mongodb://[redacted]@a/x"),
        ("amqp://u:p/ss@mq/", "amqp://[redacted]@mq/"),
        ("'http://u:p@h/a' 'http://v:q@h/b'", "'http://[redacted]@h/a' 'http://[redacted]@h/b'"),
        ("jdbc:oracle:thin:scott/tiger@//db:1521/x", "jdbc:oracle:thin:[redacted]@//db:1521/x"),
        ("app:hunter2@tcp(db:3306)/shop", "app:[redacted]@tcp(db:3306)/shop"),
        ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/services/[redacted]"),
        ("https://discord.com/api/webhooks/1/a-b_c", "https://discord.com/api/webhooks/[redacted]"),
        ("GET http://api:8080/users/a@b HTTP/1.1", "GET http://api:8080/users/a@b HTTP/1.1"),
        ("npm WARN http://registry/@scope/x", "npm WARN http://registry/@scope/x"),
    ]);
}

#[test]
fn personal_data_is_removed() {
    check(&[
        ("mail to bob.smith+x@mail.example.org failed", "mail to [redacted] failed"),
        ("<jürgen@müller.de>", "<[redacted]>"),
        ("card 4111 1111 1111 1111 declined", "card [redacted] declined"),
        ("card=4111-1111-1111-1111,", "card=[redacted],"),
        ("5500005555555559", "[redacted]"),
        ("378282246310005", "[redacted]"),
        ("4111111111111112", "4111111111111112"),
        ("at 1795462698792223107 ns", "at 1795462698792223107 ns"),
        ("id 94111111111111111", "id 94111111111111111"),
        ("lodash@4.17.21", "lodash@4.17.21"),
    ]);
}

#[test]
fn random_text_is_removed() {
    check(&[
        ("read Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3A= from disk", "read [redacted] from disk"),
        ("x=wJalrXUtnFE9I/K7MdENG/bPxRfiCYzX4mPl3KeY", "x=[redacted]"),
        ("x: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "x: [redacted]"),
        ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", "[redacted]"),
    ]);
}

/// Text that a diagnosis rests on.
#[test]
fn evidence_is_kept() {
    for text in [
        "",
        " ",
        "plain words, and numbers 1 2 3",
        "FATAL: password authentication failed for user \"app\"",
        "Error: invalid token: unexpected end of input",
        "syntax error: unexpected token '}' in JSON",
        "session closed",
        "token expired",
        "the password is required",
        "max_tokens=4096 prompt_tokens: 128",
        "PASSWORD_FILE=/run/secrets/db",
        "token_ttl=3600 session_timeout: 30s cookie_domain=example.org",
        "password=null token: none secret=",
        "key=value keys: 3 monkey=1",
        "primary key: id",
        "container 1ac4d11f190e40fc6f15630356e1464a8112f3806e650aec433993b04bf13de8 died",
        "image_id: 67d05fb479e169f76f08b52196af3cac85a861bd8a7b4a20da005537b75767db",
        "pulled sha256:67d05fb479e169f76f08b52196af3cac85a861bd8a7b4a20da005537b75767db",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
        "commit: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "request 3f2504e0-4f89-11d3-9a0c-0305e82c3301 took 3 ms",
        "user=3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        "at org.springframework.aop.framework.AbstractSingletonProxyFactoryBean.run(Bean.java:12)",
        "error in /usr/local/lib/python3/dist-packages/sqlalchemy/engine/base.py line 12",
        "open /var/lib/docker/containers/some-quite-long-directory-name-2026-11-25/file: no such file or directory",
        "my-service-with-a-long-name-2024-01-02-and-more is up",
        "THIS_IS_A_CONSTANT_WITH_A_LONG_NAME_2 is not set",
        "listen tcp 0.0.0.0:8080: bind: address already in use",
        "connect ECONNREFUSED 10.0.0.5:5432",
        "dial tcp: lookup db on 127.0.0.11:53: no such host",
        "java.lang.OutOfMemoryError: Java heap space",
        "GET /health 503 in 12 ms",
        "x509: certificate has expired or is not yet valid",
        "https://example.org/path?page=2&sort=name#top",
        "====================================================",
        "----------------------------------------------------------------",
        "[redacted]",
    ] {
        assert_eq!(Redactor::default().redact(text), Redacted { text: text.to_owned(), count: 0 }, "{text:?}");
    }
}

#[test]
fn a_private_key_is_removed_as_a_whole() {
    let (begin, end) = ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
    check(&[
        (&format!("a\n{begin}\nMIIE\nAg==\n{end}\nb"), "a\n[redacted]\nb"),
        (&format!(r"key: {begin}\nMIIE\n{end}\n b"), r"key: [redacted]\n b"),
        (&format!("{begin}\nMIIE"), "[redacted]"),
        (&format!("words here\nMIIE\nAg==\n{end}"), "words here\n[redacted]"),
    ]);
    let lines = ["a", begin, "MIIE", "", end, "b"];
    let left: Vec<_> = Redactor::default().redact_lines(lines).into_iter().map(|line| line.text).collect();
    assert_eq!(left, ["a", MARK, MARK, "", MARK, "b"]);
}

#[test]
fn secrets_in_a_containers_environment_are_found_by_value() {
    let environment = [
        "PATH=/usr/bin",
        "DB_PASSWORD=Tr0ub4dor",
        "SMTP_PASS=abcd",
        "DATABASE_URL=postgres://app:s3cr%2Ft!@db/shop",
        "TOKEN_TTL=3600",
        "COOKIE_SECURE=true",
        "SETTINGS={\"clientSecret\":\"inner-value\"}",
        "API_KEY=with \"quotes\"",
    ];
    let redactor = Redactor::default().with_known(KnownSecrets::new(environment, ["app --token flagged1"]));
    for (text, left) in [
        ("login with Tr0ub4dor failed", "login with [redacted] failed"),
        ("xTr0ub4dorx", "x[redacted]x"),
        ("smtp abcd abcde xabcd", "smtp [redacted] abcde xabcd"),
        ("auth s3cr%2Ft! or s3cr/t!", "auth [redacted] or [redacted]"),
        ("got inner-value", "got [redacted]"),
        ("running with flagged1", "running with [redacted]"),
        (r#"{"x":"with \"quotes\""}"#, r#"{"x":"[redacted]"}"#),
        ("it is true after 3600 in /usr/bin", "it is true after 3600 in /usr/bin"),
    ] {
        assert_eq!(redactor.redact(text).text, left, "{text:?}");
    }
    let shown = format!("{redactor:?}");
    assert!(!shown.contains("Tr0ub4dor") && !shown.contains("inner"), "{shown}");
}

#[test]
fn the_installations_patterns_are_validated() {
    let redactor = Redactor::new(Patterns::new([r"ACME-\d{4}", "x+y"]).unwrap());
    assert_eq!(
        redactor.redact("badge ACME-1234, xxy"),
        Redacted { text: "badge [redacted], [redacted]".into(), count: 2 }
    );
    for (pattern, reason) in
        [("(", "unclosed group"), ("a*", "it matches an empty text"), (r"(?:\w{1000}){1000}", "it is too large")]
    {
        let error = Patterns::new([pattern]).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(Patterns::new(vec!["a"; MAX_PATTERNS]).is_ok());
    assert!(Patterns::new(vec!["a"; MAX_PATTERNS + 1]).is_err());
}

#[test]
fn secrets_are_counted_once() {
    for (text, count) in [
        ("password=a token=b", 2),
        ("Authorization: Bearer 0123456789abcdef0", 1),
        ("postgres://u:p@h/d?password=x", 2),
        ("nothing", 0),
        ("password=[redacted]", 0),
    ] {
        assert_eq!(Redactor::default().redact(text).count, count, "{text}");
    }
}

#[test]
fn a_long_text_takes_linear_time() {
    let began = std::time::Instant::now();
    for piece in
        ["password=[", "password=\"", "a", "a,", "://", "x@", "-----BEGIN PRIVATE KEY-----\n", "4", "\\\"", "key=a "]
    {
        let text = piece.repeat(64 * 1024 / piece.len());
        drop(Redactor::default().redact(&text));
    }
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

/// Text with misleading structure.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("password=".to_owned()),
        Just("\"token\": \"".to_owned()),
        Just("secret: ".to_owned()),
        Just("://u:p@h".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("-----END PRIVATE KEY-----".to_owned()),
        Just("[redacted]".to_owned()),
        Just("Authorization: Bearer ".to_owned()),
        Just("--api-key ".to_owned()),
        Just("\\\"".to_owned()),
        Just("ghp_".to_owned()),
        Just("a@b.cd".to_owned()),
        "[ =:;,&'\"\\\\(){}<>\\[\\]@/\n-]{1,4}",
        "[A-Za-z0-9+/=_-]{1,40}",
        "\\PC{0,6}",
        ".{0,6}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A secret that is distinct from the text around it.
fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9!#$%*+/^_~-]{3,24}[0-9][A-Za-z0-9]{2,8}".prop_map(|body| format!("Zq9{body}"))
}

proptest! {
    #[test]
    fn redaction_works_for_every_text_and_is_idempotent(text in text()) {
        let once = Redactor::default().redact(&text);
        let twice = Redactor::default().redact(&once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert_eq!(twice.count, 0);
        if !text.contains(MARK) {
            prop_assert_eq!(once.text == strip_control_characters(&text), once.count == 0);
        }
    }

    #[test]
    fn the_number_of_lines_does_not_change(lines in proptest::collection::vec(text(), 0..6)) {
        let redacted = Redactor::default().redact_lines(lines.iter().map(String::as_str));
        prop_assert_eq!(redacted.len(), lines.len());
    }

    #[test]
    fn a_planted_secret_never_survives(
        before in "[a-z .,0-9]{0,20}", after in "[a-z .,0-9]{0,20}", secret in secret(), frame in 0..24_usize,
    ) {
        let planted = match frame {
            0 => format!("password={secret}"),
            1 => format!("\"password\": \"{secret}\""),
            2 => format!("PASSWORD: {secret}"),
            3 => format!("Authorization: Bearer {secret}"),
            4 => format!("https://user:{secret}@host/path"),
            5 => format!("--api-key {secret}"),
            6 => format!("--secret={secret}"),
            7 => format!("{{'token': '{secret}'}}"),
            8 => format!("?access_token={secret}&n=1"),
            9 => format!("Password={secret};Encrypt=true"),
            10 => format!("\\\"client_secret\\\":\\\"{secret}\\\""),
            11 => format!("Set-Cookie: sid={secret}; Path=/"),
            12 => format!("<secret>{secret}</secret>"),
            13 => format!("private_key => \"{secret}\""),
            14 => format!("DB_PASSWORD='{secret}'"),
            15 => format!("sshpass -p {secret}"),
            16 => format!("IDENTIFIED BY '{secret}'"),
            17 => format!("password {secret:?}"),
            18 => format!("X-Api-Key: {secret}"),
            19 => format!("session_id={secret},"),
            20 => format!("token: Some(\"{secret}\")"),
            21 => format!("pwd%3D{secret}%26n%3D1"),
            22 => format!("app:{secret}@tcp(db:3306)/x").replace('/', "."),
            _ => format!("secret_key={secret}"),
        };
        let text = format!("{before} {planted} {after}");
        let left = redacted(&text);
        let inner = &secret[..secret.len().min(8)];
        prop_assert!(!left.contains(inner), "{} became {}", text, left);
    }

    #[test]
    fn a_value_of_the_environment_never_survives(before in text(), after in text(), secret in "[!-~]{8,40}") {
        prop_assume!(!["[redacted]", "reda", "cted"].iter().any(|mark| secret.contains(mark)));
        let variable = format!("APP_SECRET={secret}");
        let quote = secret.chars().next().unwrap_or_default();
        let quoted = matches!(quote, '"' | '\'') && secret.ends_with(quote);
        let value = if quoted { &secret[1..secret.len() - 1] } else { secret.as_str() };
        prop_assume!(value.len() >= 8);
        let redactor = Redactor::default().with_known(KnownSecrets::new([variable.as_str()], []));
        let left = redactor.redact(&format!("{before} {secret} {after}")).text;
        prop_assert!(!left.contains(value), "{left}");
    }
}
