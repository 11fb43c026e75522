//! The `Retry-After` header.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    // A date uses the clock of the server, whose time is in `Date`.
    let server_time = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let server_time = server_time.and_then(|date| httpdate::parse_http_date(date).ok());
    wait_of(value.trim(), server_time.unwrap_or_else(SystemTime::now))
}

fn wait_of(value: &str, now: SystemTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // The caller limits the wait, so a number that is too large may become the largest.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date in the past, perhaps by another clock, means no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_date_is_read_by_the_clock_of_the_server() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "Sun, 06 Nov 1994 08:49:57 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
        headers.insert(header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(20)));
        headers.insert(header::DATE, "yesterday".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
    }

    #[test]
    fn p10_retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |value| wait_of(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:30 GMT"), Some(0));
        assert_eq!(seconds(""), None);
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("1.5"), None);
        assert_eq!(seconds("soon"), None);
    }

    /// Days since 1970 of a date, counted one by one.
    fn days(year: u64, month: usize, day: u64) -> u64 {
        let leap =
            |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        let months = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
        years + months[..month].iter().sum::<u64>() + day - 1
    }

    proptest! {
        #[test]
        fn seconds_are_digits_and_nothing_else(value in "[0-9+. e-]{0,25}") {
            let wait = wait_of(&value, SystemTime::now());
            let digits = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit());
            prop_assert_eq!(wait.is_some(), digits);
            if let (Some(wait), Ok(seconds)) = (wait, value.parse::<u128>()) {
                prop_assert_eq!(u128::from(wait.as_secs()), seconds.min(u64::MAX.into()));
            }
        }

        #[test]
        fn dates_are_those_of_http(
            year in 1970..=9_999_u64, month in 0..12_usize, day in 1..=28_u64, second in 0..86_400_u64, ahead in 0..1_000_u64
        ) {
            const MONTHS: [&str; 12] =
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
            let date = days(year, month, day);
            let (hour, minute, left) = (second / 3_600, second / 60 % 60, second % 60);
            let weekday = DAYS[usize::try_from(date % 7).unwrap()];
            let (month, clock) = (MONTHS[month], format!("{hour:02}:{minute:02}:{left:02}"));
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(date * 86_400 + second);
            let now = then - Duration::from_secs(ahead.min(date * 86_400 + second));
            for text in [
                format!("{weekday}, {day:02} {month} {year} {clock} GMT"),
                format!("{weekday} {month} {day:2} {clock} {year}"),
            ] {
                prop_assert_eq!(wait_of(&text, now), then.duration_since(now).ok(), "{}", text);
                prop_assert_eq!(wait_of(&text, then + Duration::from_secs(1)), Some(Duration::ZERO), "{}", text);
            }
        }

        #[test]
        fn arbitrary_headers_do_not_panic(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3)) {
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|value| header::HeaderValue::from_bytes(value).ok()) {
                headers.append(header::RETRY_AFTER, value);
            }
            let first = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            prop_assert_eq!(retry_after(&headers).is_some(), first.is_some_and(|value| {
                wait_of(value.trim(), SystemTime::now()).is_some()
            }));
        }
    }
}
