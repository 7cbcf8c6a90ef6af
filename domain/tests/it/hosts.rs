//! What may be a host name, and when two of them are the same.

use ocim_domain::hosts::{DOMAIN_LENGTH_MAX, check_domain, check_host, host_key, to_ascii};
use proptest::prelude::*;

#[test]
fn a_domain_can_only_be_a_host_name() {
    let label = "x".repeat(63);
    let long = format!("{label}.{}.com", "y".repeat(32));
    assert_eq!(long.len(), 100);
    for good in ["a.b", "lms.example.com", "Test-A.Sub-B.example.com", "1.example.com", &long] {
        assert_eq!(check_domain(good), Ok(()), "{good}");
    }
    let too_long = format!("a{long}");
    let long_label = format!("{label}x.com");
    for bad in [
        "",
        "com",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a.com",
        "a-.com",
        "a b.com",
        "a\n.com",
        "a'.com",
        "a\".com",
        "a%.com",
        "a#.com",
        "a{.com",
        "a;.com",
        "a/.com",
        "a:80.com",
        "_a.com",
        "127.0.0.1",
        "a.com ",
        &too_long,
        &long_label,
    ] {
        assert!(check_domain(bad).is_err(), "{bad:?}");
    }
    assert_eq!(check_host(&format!("a.{long}")), Ok(()), "only sites have the shorter limit");
    assert!(check_host(&format!("{}com", "abc.".repeat(63))).is_err());
    // As long as the wire allows, and one more.
    let nearly = format!("{}com", "ab.".repeat(83));
    assert_eq!(check_host(&format!("x{nearly}")), Ok(()));
    assert!(check_host(&format!("xx{nearly}")).is_err());
}

#[test]
fn a_domain_may_be_in_any_language() {
    for (written, ascii) in [
        ("café.com", "xn--caf-dma.com"),
        ("über.example.com", "xn--ber-goa.example.com"),
        ("Über.example.com", "xn--ber-goa.example.com"),
        ("u\u{308}ber.example.com", "xn--ber-goa.example.com"),
        ("straße.example", "xn--strae-oqa.example"),
        ("日本.example.com", "xn--wgv71a.example.com"),
        ("xn--ber-goa.example.com", "xn--ber-goa.example.com"),
        ("Test-A.example.com", "Test-A.example.com"),
    ] {
        assert_eq!(check_domain(written), Ok(()), "{written}");
        assert_eq!(to_ascii(written), ascii);
        assert_eq!(host_key(written), ascii.to_lowercase(), "{written}");
    }
}

#[test]
fn a_unicode_domain_says_what_it_looks_like() {
    let long = format!("{}.example.com", "ü".repeat(60));
    for (wrong, says) in [
        // What the wire does not tell apart must not be shown apart.
        ("exa\u{ad}mple.com", "`example.com`"),
        ("ｅxample.com", "`example.com`"),
        ("ﬁne.example.com", "`fine.example.com`"),
        ("über。example.com", "`über.example.com`"),
        ("über.xn--ber-goa.com", "`über.über.com`"),
        // Neither letters nor digits, or no A-label at all.
        ("a\u{202e}b.example.com", "browsers"),
        ("über ü.example.com", "browsers"),
        ("ü_ber.example.com", "browsers"),
        ("xn--a.example.com", "browsers"),
        ("-ü.example.com", "browsers"),
        (&long, "63"),
        ("über", "two parts"),
    ] {
        let rule = check_domain(wrong).expect_err(wrong);
        assert!(rule.contains(says), "{wrong:?}: {rule}");
    }
}

proptest! {
    /// Whatever passes is harmless on the wire, and the wire's form stands for the same host.
    #[test]
    fn what_passes_is_plain_on_the_wire(
        domain in "\\PC{0,40}|[a-zA-Z0-9éüßσ日.-]{0,40}|[a-zéü]{1,9}\\.[a-zéü]{1,9}",
    ) {
        if check_domain(&domain).is_ok() {
            prop_assert!(domain.chars().count() <= DOMAIN_LENGTH_MAX);
            let ascii = to_ascii(&domain).into_owned();
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
            prop_assert!(ascii.bytes().all(is_plain) && ascii.len() <= 253, "{}", ascii);
            prop_assert_eq!(host_key(&ascii), host_key(&domain));
            prop_assert_eq!(check_host(&ascii), Ok(()));
        }
    }
}
