//! Bank account numbers (IBAN, ISO 13616).

use super::steps::{ahead, count};

/// Countries and the length of their numbers, from the SWIFT registry.
const COUNTRIES: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// The end of the number that begins at `start`, in one piece or in groups of four.
pub(super) fn ends(bytes: &[u8], start: usize) -> Option<usize> {
    let [first, second, ..] = bytes.get(start..)? else { return None };
    if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
        return None;
    }
    if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
        return None;
    }
    let (_, length) = COUNTRIES.iter().find(|(country, _)| **country == [*first, *second])?;
    let (mut number, mut at) = ([0_u8; 34], start);
    for (place, slot) in number.iter_mut().enumerate().take(*length) {
        count(1);
        if place > 0 && place % 4 == 0 && matches!(bytes.get(at), Some(b' ' | b'-')) {
            at += 1;
        }
        let byte = *bytes.get(at)?;
        if !(byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return None;
        }
        *slot = byte;
        at += 1;
    }
    let continues = ahead(bytes, at, 1, |byte| byte.is_ascii_alphanumeric()) > at;
    (!continues && checks(&number[..*length])).then_some(at)
}

/// The check digits, by ISO 7064 (MOD 97-10).
fn checks(number: &[u8]) -> bool {
    let (head, rest) = number.split_at(4);
    let rest = rest.iter().chain(head).fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    rest == 1
}

#[cfg(test)]
mod tests {
    use super::super::numbers;

    #[test]
    fn the_examples_of_the_registry_are_found() {
        let found = |text: &str| {
            let mut found = Vec::new();
            numbers::each(text.as_bytes(), |place, what| found.push((text[place].to_owned(), what)));
            found
        };
        for number in [
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "FR1420041010050500013M02606",
            "NL91ABNA0417164300",
            "MT84MALT011000012345MTLCAST001S",
            "NO9386011117947",
            "CH9300762011623852957",
        ] {
            let bytes = number.as_bytes();
            let groups: Vec<_> = bytes.chunks(4).map(String::from_utf8_lossy).collect();
            for text in [number.to_owned(), groups.join(" ")] {
                assert_eq!(found(&format!("to {text}, please")), [(text.clone(), "iban")]);
                let digit = if text.as_bytes()[3] == b'1' { "2" } else { "1" };
                let wrong = format!("{}{digit}{}", &text[..3], &text[4..]);
                assert!(found(&wrong).iter().all(|(_, what)| *what != "iban"), "{wrong}");
                assert!(found(&format!("X{text}")).iter().all(|(_, what)| *what != "iban"));
            }
        }
    }
}
