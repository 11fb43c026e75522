//! Numbers of payment cards.
//!
//! Many things have 13 to 19 digits: times, orders, ids. A card's number begins as those of its network do, has
//! one of its lengths, and ends with a check digit (ISO/IEC 7812, Luhn). What lies inside a longer number, a
//! fraction or an id in hexadecimal is none.

use super::scan::{self, SHORTEST};

/// Digits of the longest number.
const LONGEST: usize = 19;

/// The first digits of the networks' numbers, and how many digits there are.
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

/// Whether these digits, without separators, are the number of a card.
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

/// Whether a field that is a number holds that of a card.
///
/// The 13 digits that a few old ones had are as many as milliseconds and bytes have: they do not count here.
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

/// The next card's number from `from` on.
pub(super) fn next(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut place = from + SHORTEST - 1;
    while let Some(byte) = text.get(place) {
        if !scan::in_number(*byte) {
            place += SHORTEST;
            continue;
        }
        let (start, end) = scan::run(text, place);
        if let Some(found) = in_run(text, start.max(from), end) {
            return Some(found);
        }
        place = end + SHORTEST;
    }
    None
}

/// A number in `text[from..end]`, which are digits and separators.
fn in_run(text: &[u8], from: usize, end: usize) -> Option<(usize, usize)> {
    if end - from < SHORTEST {
        return None;
    }
    let mut group = from;
    while group < end {
        let after = group + digits(&text[group..end]);
        if after > group {
            if let Some(to) = from_group(text, group, end) {
                return Some((group, to));
            }
            group = after;
        }
        group += 1;
    }
    None
}

/// Where the number ends that begins with the group of digits at `start`.
fn from_group(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let first = digits(&text[start..end]);
    // In one piece, or in groups: four digits, some of three to six, and a last one.
    if first != 4 && !(SHORTEST..=LONGEST).contains(&first) {
        return None;
    }
    let mut number = [0; LONGEST];
    let (mut length, mut at, mut found) = (0, start, None);
    let separator = text.get(start + first).copied();
    loop {
        let group = digits(&text[at..end]);
        if group == 0 || length + group > LONGEST || (at > start && group > 6) {
            return found;
        }
        for (place, byte) in text[at..at + group].iter().enumerate() {
            number[length + place] = byte - b'0';
        }
        length += group;
        at += group;
        if length >= SHORTEST && is_number(&number[..length]) && alone(text, start, at) {
            found = Some(at);
        }
        // The last group may be shorter, none of the others.
        if group < 3 || first != 4 || at >= end || Some(text[at]) != separator {
            return found;
        }
        at += 1;
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Whether these digits are no part of a fraction and of no id in hexadecimal.
fn alone(text: &[u8], from: usize, to: usize) -> bool {
    let (before, after) = (&text[..from], &text[to..]);
    let fraction = matches!(before, [.., b'0'..=b'9', b'.']) || matches!(after, [b'.', b'0'..=b'9', ..]);
    let left = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric());
    let right = after.iter().take_while(|byte| byte.is_ascii_alphanumeric());
    let mut around = left.chain(right).take(64).peekable();
    let hexadecimal = around.peek().is_some() && around.all(u8::is_ascii_hexdigit);
    !fraction && !hexadecimal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut from = 0;
        std::iter::from_fn(|| {
            let (start, end) = next(text.as_bytes(), from)?;
            from = end;
            Some(&text[start..end])
        })
        .collect()
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
            "4242424242424242.5",                   // no whole number
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
