//! Where a vital sign is going: the slope in the middle of all slopes.
//!
//! Theil and Sen take the median of the slopes between every two points, so that up to 29 % of the points may be
//! anything at all; with least squares, one is enough to turn a trend round. Whether there is a trend is Kendall's
//! test, which asks how many pairs rise and how many fall: of `n` points without a trend the difference has a
//! mean of 0 and a variance of `n (n - 1) (2 n + 5) / 18`. The same count, of the pairs steeper than some slope,
//! says how sure it is that the trend is steeper than that (Sen, 1968, "Estimates of the regression coefficient
//! based on Kendall's tau").

use super::series::{POINTS, Series, median};

/// Fewer standard deviations of Kendall's test are no trend: chance gets there once in 30,000 times.
const CERTAIN: f64 = 4.0;

const PAIRS: usize = POINTS * (POINTS - 1) / 2;

/// When a limit above is reached, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    /// Change in one second.
    pub(super) slope: f64,
    /// In how many seconds from the moment asked about.
    pub(super) after: f64,
    /// How sure it is that the limit is reached within the time asked about, in 0.5..=1.
    pub(super) confidence: f64,
}

/// When the series reaches `limit` from below, if it rises without doubt and gets there within `most` seconds
/// from the second `now`.
pub(super) fn arrival(series: &Series, now: u32, limit: f64, most: f64) -> Option<Arrival> {
    let deviation = deviation(series.len())?;
    if !limit.is_finite() || !steeper(series, 0.0).is_some_and(|more| more >= CERTAIN * deviation) {
        return None;
    }
    let (slope, at_first) = line(series)?;
    let span = series.span();
    let age = f64::from(now.saturating_sub(series.last()?));
    let here = at_first + slope * (span + age);
    let after = ((limit - here) / slope).max(0.0);
    if !(slope > 0.0 && slope.is_finite() && after <= most) {
        return None;
    }
    // As steep as this it would only just get there.
    let needed = (limit - here) / most;
    let confidence = normal(steeper(series, needed)? / deviation).clamp(0.5, 1.0);
    needed.is_finite().then_some(Arrival { slope, after, confidence })
}

/// The standard deviation of what [`steeper`] counts when there is no trend.
#[allow(clippy::cast_precision_loss)] // A few points.
fn deviation(points: usize) -> Option<f64> {
    let n = points as f64;
    (points > 1).then(|| (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt())
}

/// How many pairs of points are steeper than `slope`, less those that are flatter.
#[allow(clippy::cast_possible_truncation)] // As wide as the points.
fn steeper(series: &Series, slope: f64) -> Option<f64> {
    let (mut rest, len) = ([0.0_f32; POINTS], series.len());
    let slope = slope as f32;
    for (place, (at, value)) in rest.iter_mut().zip(series.points()) {
        *place = value - slope * at;
    }
    let rest = rest.get(..len)?;
    let mut more = 0_i32;
    for (index, before) in rest.iter().enumerate() {
        more += rest[index + 1..]
            .iter()
            .map(|after| i32::from(after > before) - i32::from(after < before))
            .sum::<i32>();
    }
    Some(f64::from(more))
}

/// The median slope, and where the line with that slope through the middle of the points begins.
fn line(series: &Series) -> Option<(f64, f64)> {
    let mut slopes = [0.0_f32; PAIRS];
    let mut count = 0;
    let mut points = series.points();
    while let Some((at, value)) = points.next() {
        for (later, then) in points.clone() {
            // Two points of one second have no slope.
            if later > at {
                *slopes.get_mut(count)? = (then - value) / (later - at);
                count += 1;
            }
        }
    }
    if count == 0 {
        return None;
    }
    let slope = median(&mut slopes[..count]);
    let mut rest = [0.0_f32; POINTS];
    for (place, (at, value)) in rest.iter_mut().zip(series.points()) {
        #[allow(clippy::cast_possible_truncation)] // As wide as the points.
        let left = (f64::from(value) - slope * f64::from(at)) as f32;
        *place = left;
    }
    Some((slope, median(&mut rest[..series.len()])))
}

/// The share of a normal distribution below `z`, to one part in 5,000.
fn normal(z: f64) -> f64 {
    1.0 / (1.0 + (-z * (1.5976 + 0.070_56 * z * z)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series(values: impl IntoIterator<Item = f32>) -> Series {
        let mut series = Series::default();
        values.into_iter().zip(0..).for_each(|(value, minute)| series.push(minute * 60, value));
        series
    }

    /// The slope of least squares, which others predict by.
    fn least_squares(series: &Series) -> f64 {
        let points: Vec<(f64, f64)> =
            series.points().map(|(at, value)| (f64::from(at), f64::from(value))).collect();
        let n = points.len() as f64;
        let (at, value) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        let (mean_at, mean) = (at / n, value / n);
        let covariance: f64 = points.iter().map(|(at, value)| (at - mean_at) * (value - mean)).sum();
        covariance / points.iter().map(|(at, _)| (at - mean_at).powi(2)).sum::<f64>()
    }

    #[test]
    fn one_outlier_turns_least_squares_round_and_not_the_median_slope() {
        let rising = series((0..24).map(|minute| 10.0 + minute as f32));
        let (clean, _) = line(&rising).unwrap();
        assert!((clean - 1.0 / 60.0).abs() < 1e-6 && (least_squares(&rising) - clean).abs() < 1e-6);
        let outlier = series((0..24).map(|minute| if minute == 2 { 500.0 } else { 10.0 + minute as f32 }));
        assert!(least_squares(&outlier) < 0.0, "least squares says that it falls");
        let (slope, _) = line(&outlier).unwrap();
        assert!((slope / clean - 1.0).abs() < 0.01, "{slope} for {clean}");
        let arrival = arrival(&outlier, 23 * 60, 100.0, 86_400.0).unwrap();
        assert!((arrival.after / 60.0 - 67.0).abs() < 1.0 && arrival.confidence > 0.999, "{arrival:?}");
    }

    #[test]
    fn a_limit_is_reached_when_it_is() {
        let rising = series((0..20).map(|minute| minute as f32 * 2.0));
        let arrival = |limit, now, most| arrival(&rising, now, limit, most);
        let found = arrival(100.0, 19 * 60, 86_400.0).unwrap();
        assert!((found.after - 31.0 * 60.0).abs() < 1.0 && (found.slope - 2.0 / 60.0).abs() < 1e-6);
        let later = arrival(100.0, 25 * 60, 86_400.0).unwrap();
        assert!((later.after - 25.0 * 60.0).abs() < 1.0, "it went on since the last point");
        assert_eq!(arrival(100.0, 19 * 60, 1_800.0), None, "beyond the horizon");
        assert_eq!(arrival(f64::INFINITY, 19 * 60, 86_400.0), None);
        assert_eq!(arrival(f64::NAN, 19 * 60, 86_400.0), None);
    }

    #[test]
    fn what_is_flat_or_falls_or_is_short_goes_nowhere() {
        for flat in [
            series([]),
            series([1.0]),
            series([3.0; 24]),
            series((0..24).map(|minute| -minute as f32)),
            series((0..24).map(|minute| (minute % 2) as f32)),
            series((0..8).map(|minute| minute as f32)),
        ] {
            assert_eq!(arrival(&flat, 1_440, 100.0, 1e9), None, "{flat:?}");
        }
    }

    #[test]
    fn confidence_falls_with_what_would_have_to_be_steeper() {
        let noisy = series((0..24).map(|minute| minute as f32 + ((minute * 7) % 11) as f32));
        let sure = |most: f64| arrival(&noisy, 23 * 60, 100.0, most).map(|arrival| arrival.confidence);
        let (tight, wide) = (sure(80.0 * 60.0).unwrap(), sure(800.0 * 60.0).unwrap());
        assert!(tight < wide && tight >= 0.5 && wide > 0.99, "{tight} {wide}");
    }

    proptest! {
        #[test]
        fn the_slope_does_not_depend_on_the_order_of_equal_changes(
            values in prop::collection::vec(-1e3_f32..1e3, 2..24),
            add in -1e3_f32..1e3,
        ) {
            let plain = line(&series(values.iter().copied())).unwrap().0;
            let raised = line(&series(values.iter().map(|value| value + add))).unwrap().0;
            let turned = line(&series(values.iter().rev().copied())).unwrap().0;
            prop_assert!((plain - raised).abs() < 1e-3, "a level is no slope: {} {}", plain, raised);
            prop_assert!((plain + turned).abs() < 1e-3, "backwards it is the other way: {} {}", plain, turned);
        }

        #[test]
        fn it_is_never_no_number(
            points in prop::collection::vec((0_u32..1_000_000, prop::num::f32::NORMAL), 0..40),
            limit in prop::num::f64::ANY,
            most in 0.0_f64..1e9,
        ) {
            let mut series = Series::default();
            points.iter().for_each(|(at, value)| series.push(*at, *value));
            if let Some(found) = arrival(&series, 2_000_000, limit, most) {
                prop_assert!(found.slope > 0.0 && found.slope.is_finite());
                prop_assert!(found.after >= 0.0 && found.after <= most);
                prop_assert!((0.5..=1.0).contains(&found.confidence));
            }
        }
    }
}
