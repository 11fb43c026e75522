//! Payment card numbers.
//!
//! Many numbers have 13 to 19 digits: times, orders, ids. A card number has a prefix and a length of its network, and
//! ends with a check digit (ISO/IEC 7812, Luhn). Digits inside a longer number, a fraction or a hexadecimal id are not a
//! card number.

use super::steps::{ahead, behind};

/// The number of digits of the shortest card number.
const SHORTEST: usize = 13;
/// The number of digits of the longest card number.
const LONGEST: usize = 19;

/// For each network, the range of the first four digits and the possible lengths.
const NETWORKS: &[(u16, u16, &[usize])] = &[
    (2200, 2204, &[16, 17, 18, 19]),             // Mir
    (2221, 2720, &[16]),                         // Mastercard
    (3000, 3059, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    (3095, 3095, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    (3400, 3499, &[15]),                         // American Express
    (3528, 3589, &[16, 17, 18, 19]),             // JCB
    (3600, 3699, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    (3700, 3799, &[15]),                         // American Express
    (3800, 3999, &[14, 15, 16, 17, 18, 19]),     // Diners Club
    (4000, 4999, &[13, 16, 19]),                 // Visa
    (5000, 5099, &[13, 14, 15, 16, 17, 18, 19]), // Maestro
    (5100, 5599, &[16]),                         // Mastercard
    (5600, 6999, &[13, 14, 15, 16, 17, 18, 19]), // Maestro, Discover, UnionPay, RuPay
    (8100, 8299, &[16]),                         // UnionPay, RuPay
];

/// Whether these digits, without separators, are a card number.
fn is_number(digits: &[u8]) -> bool {
    let network = digits.iter().take(4).fold(0, |number, digit| number * 10 + u16::from(*digit));
    let known = NETWORKS
        .iter()
        .any(|(from, to, lengths)| (*from..=*to).contains(&network) && lengths.contains(&digits.len()));
    known && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 0 { digit } else { digit / 5 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether the value of a numeric field is a card number.
///
/// A few old card numbers have 13 digits. Times in milliseconds have as many, so these do not count here.
pub(super) fn is_card(number: u64) -> bool {
    if number < 10_u64.pow(13) {
        return false;
    }
    let mut digits = [0; 20];
    let mut rest = number;
    let mut first = digits.len();
    while rest > 0 {
        first -= 1;
        digits[first] = (rest % 10) as u8;
        rest /= 10;
    }
    is_number(&digits[first..])
}

/// The end of the card number that begins at `start` with a group of `first` digits.
///
/// The number is in one piece or in groups of digits with the same separator between them.
pub(super) fn ends(bytes: &[u8], start: usize, first: usize) -> Option<usize> {
    // In one piece, or in groups: four digits, some of three to six, and a last one.
    if first != 4 && !(SHORTEST..=LONGEST).contains(&first) {
        return None;
    }
    let mut number = [0; LONGEST];
    let (mut length, mut at, mut found) = (0, start, None);
    let separator = separator(&bytes[start + first..]);
    let mut groups = [0; 5];
    for place in 0..groups.len() {
        let group = ahead(bytes, at, LONGEST + 1, |byte| byte.is_ascii_digit()) - at;
        if group == 0 || length + group > LONGEST || (at > start && group > 6) {
            break;
        }
        for (place, byte) in bytes[at..at + group].iter().enumerate() {
            number[length + place] = byte - b'0';
        }
        groups[place] = group;
        length += group;
        at += group;
        if length >= SHORTEST
            && is_number(&number[..length])
            && usual(separator, &groups[..=place])
            && alone(bytes, start, at, if place == 0 { b"" } else { separator })
        {
            found = Some(at);
        }
        // Only the last group may be shorter.
        if group < 3 || first != 4 || separator.is_empty() || !bytes[at..].starts_with(separator) {
            break;
        }
        at += separator.len();
    }
    found
}

/// The separator of two groups of digits: at most one character, which may be percent-encoded.
fn separator(rest: &[u8]) -> &[u8] {
    let length = match rest {
        [b'%', b'2', b'0' | b'D' | b'd', ..] => 3,
        [0xC2, 0xA0, ..] => 2,
        // Dashes and thin spaces.
        [0xE2, 0x80, 0x80..=0x95 | 0xAF, ..] | [0xE2, 0x88, 0x92, ..] => 3,
        [b' ' | b'-' | b'.' | b'/' | b'_' | b'+' | b'*' | b'|' | b':' | b';' | b',' | b'~' | b'\t', ..] => 1,
        _ => 0,
    };
    &rest[..length]
}

/// Whether groups have the lengths in which people write card numbers. With separators other than blanks and dashes, only
/// the groups that are printed on cards count, because lists of numbers have such separators too.
fn usual(separator: &[u8], groups: &[usize]) -> bool {
    matches!(separator, b" " | b"-" | b"")
        || groups.len() == 1
        || matches!(groups, [4, 4, 4, 4] | [4, 6, 5] | [4, 6, 4])
}

/// Whether these digits are not part of a fraction, a longer list or a hexadecimal id.
fn alone(bytes: &[u8], from: usize, to: usize, separator: &[u8]) -> bool {
    let (before, after) = (&bytes[..from], &bytes[to..]);
    let fraction = matches!(before, [.., b'0'..=b'9', b'.']) || matches!(after, [b'.', b'0'..=b'9', ..]);
    let lists = !matches!(separator, b" " | b"-" | b"");
    let longer = lists && (before.ends_with(separator) || after.starts_with(separator));
    let left = from - behind(bytes, from, 64, |byte| byte.is_ascii_alphanumeric());
    let right = ahead(bytes, to, 64, |byte| byte.is_ascii_alphanumeric()) - to;
    let hexadecimal =
        left + right > 0 && bytes[from - left..from].iter().chain(&after[..right]).all(u8::is_ascii_hexdigit);
    !fraction && !longer && !hexadecimal
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        numbers::each(text.as_bytes(), |place, _| found.push(&text[place]));
        found
    }

    /// The numbers that networks and their banks give out for tests.
    const CARDS: &[&str] = &[
        "4242424242424242",    // Visa
        "4111111111111111",    // Visa
        "4012888888881881",    // Visa
        "4222222222222",       // Visa, 13 digits
        "5555555555554444",    // Mastercard
        "5105105105105100",    // Mastercard
        "2223003122003222",    // Mastercard, second series
        "378282246310005",     // American Express
        "371449635398431",     // American Express
        "6011111111111117",    // Discover
        "6011000990139424",    // Discover
        "3530111333300000",    // JCB
        "3566002020360505",    // JCB
        "30569309025904",      // Diners Club
        "38520000023237",      // Diners Club
        "36227206271667",      // Diners Club
        "6200000000000005",    // UnionPay
        "6205500000000000004", // UnionPay, 19 digits
        "6759649826438453",    // Maestro
        "2200000000000004",    // Mir
    ];

    #[test]
    fn the_test_numbers_of_the_networks_are_found() {
        for card in CARDS {
            let groups: Vec<_> =
                (0..card.len()).step_by(4).map(|at| &card[at..card.len().min(at + 4)]).collect();
            let dashed = groups.join("-");
            let spaced = dashed.replace('-', " ");
            for text in [(*card).to_owned(), dashed, spaced] {
                assert_eq!(found(&text), [text.as_str()]);
                for (before, after) in [
                    ("card ", " was refused"),
                    ("nr.", "."),
                    ("order_", "_x"),
                    ("pan", "ok"),
                    ("12 34 ", ""),
                    ("1234 ", " 12"),
                    ("-", "-"),
                    ("é", "é"),
                    ("17-11-2026 ", ","),
                ] {
                    let around = format!("{before}{text}{after}");
                    assert_eq!(found(&around), [text.as_str()], "{around}");
                }
            }
            let wrong = card.replace(|c: char| c == card.chars().last().unwrap_or_default(), "9");
            assert!(found(&wrong).len() <= usize::from(luhn(&bytes(&wrong))), "{wrong}");
        }
        assert_eq!(found("3782 822463 10005"), ["3782 822463 10005"]);
        assert_eq!(found("3056 930902 5904"), ["3056 930902 5904"]);
        assert_eq!(found("4242424242424242 and 378282246310005").len(), 2);
        assert_eq!(found("4242424242424242 5555555555554444").len(), 2);
        assert_eq!(found("4242 4242 4242 4242 5555 5555 5555 4444").len(), 2);
    }

    fn bytes(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "4242424242424241",                     // the check digit is wrong
            "1700000000000",                        // milliseconds
            "1700000000000000000",                  // nanoseconds
            "20261121163209123",                    // a time
            "2026-11-21 16:32:09.123456",           // a time
            "42424242424242424242",                 // too long
            "4242 4242 4242",                       // too short
            "424242424242424",                      // not a length of that network
            "0.4242424242424242",                   // a fraction
            "4242424242424242.5",                   // not a whole number
            "4bf92f3577b34da6a3ce929d0e0e4736",     // a trace id
            "aa4242424242424242bb",                 // inside hexadecimal
            "4242424242424242ffff",                 // inside hexadecimal
            "550e8400-e29b-41d4-a716-446655440000", // a UUID
            "00000000-0000-4242-4242-424242424242", // a UUID of digits
            "42 42 42 42 42 42 42 42",              // numbers
            "4242  4242  4242  4242",               // a table
            "9999999999999995",                     // of no network
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn numbers_are_looked_at_too() {
        for card in CARDS.iter().filter(|card| card.len() > 13) {
            assert!(is_card(card.parse().unwrap()), "{card}");
        }
        for number in [0, 42, 1_700_000_000_000, 4_222_222_222_222, 4_242_424_242_424_241, u64::MAX] {
            assert!(!is_card(number), "{number}");
        }
    }
}
