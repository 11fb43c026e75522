//! The trend of a vital sign: the median slope between its points.
//!
//! The estimator of Theil and Sen is the median of the slopes between all pairs of points. Up to 29 % of the points may be
//! outliers; with least squares, one outlier can reverse a trend. Kendall's test shows whether there is a trend: it counts
//! how many pairs rise and how many fall. For `n` points without a trend, the difference has a mean of 0 and a variance of
//! `n (n - 1) (2 n + 5) / 18`. The same count for pairs steeper than a given slope shows how certain it is that the trend
//! is steeper than that slope (Sen, 1968, "Estimates of the regression coefficient based on Kendall's tau").

use super::series::{POINTS, Series, median};

/// The standard deviations of Kendall's test that make a trend: chance reaches them once in 30,000 times.
const CERTAIN: f64 = 4.0;

const PAIRS: usize = POINTS * (POINTS - 1) / 2;

/// When a trend reaches a limit above it, and how certain that is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Arrival {
    /// The change per second.
    pub(super) slope: f64,
    /// Seconds from now until the limit is reached.
    pub(super) after: f64,
    /// How certain it is that the limit is reached within the maximum time, in 0.5..=1.
    pub(super) confidence: f64,
}

/// When the series reaches `limit` from below. `None` unless it clearly rises, and reaches the limit within `most` seconds
/// from `now`.
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
    // The slope that would just reach the limit in time.
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

/// The number of pairs of points that are steeper than `slope`, minus those that are flatter.
#[allow(clippy::cast_possible_truncation)] // As wide as the points.
fn steeper(series: &Series, slope: f64) -> Option<f64> {
    let (mut rest, len) = ([0.0_f32; POINTS], series.len());
    let slope = slope as f32;
    for (slot, (at, value)) in rest.iter_mut().zip(series.points()) {
        *slot = value - slope * at;
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

/// The median slope, and the value at which the median line with that slope starts.
fn line(series: &Series) -> Option<(f64, f64)> {
    let mut slopes = [0.0_f32; PAIRS];
    let mut count = 0;
    let mut points = series.points();
    while let Some((at, value)) = points.next() {
        for (later, then) in points.clone() {
            // Two points of the same second have no slope.
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
    for (slot, (at, value)) in rest.iter_mut().zip(series.points()) {
        #[allow(clippy::cast_possible_truncation)] // As wide as the points.
        let left = (f64::from(value) - slope * f64::from(at)) as f32;
        *slot = left;
    }
    Some((slope, median(&mut rest[..series.len()])))
}

/// The cumulative normal distribution at `z`, accurate to one part in 5,000.
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

    /// The slope of least squares, for comparison.
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
    fn one_outlier_reverses_least_squares_and_not_the_median_slope() {
        let rising = series((0..24).map(|minute| 10.0 + minute as f32));
        let (clean, _) = line(&rising).unwrap();
        assert!((clean - 1.0 / 60.0).abs() < 1e-6 && (least_squares(&rising) - clean).abs() < 1e-6);
        let outlier = series((0..24).map(|minute| if minute == 2 { 500.0 } else { 10.0 + minute as f32 }));
        assert!(least_squares(&outlier) < 0.0, "by least squares it falls");
        let (slope, _) = line(&outlier).unwrap();
        assert!((slope / clean - 1.0).abs() < 0.01, "{slope} for {clean}");
        let arrival = arrival(&outlier, 23 * 60, 100.0, 86_400.0).unwrap();
        assert!((arrival.after / 60.0 - 67.0).abs() < 1.0 && arrival.confidence > 0.999, "{arrival:?}");
    }

    #[test]
    fn the_time_until_a_limit_is_reached_is_right() {
        let rising = series((0..20).map(|minute| minute as f32 * 2.0));
        let arrival = |limit, now, most| arrival(&rising, now, limit, most);
        let found = arrival(100.0, 19 * 60, 86_400.0).unwrap();
        assert!((found.after - 31.0 * 60.0).abs() < 1.0 && (found.slope - 2.0 / 60.0).abs() < 1e-6);
        let later = arrival(100.0, 25 * 60, 86_400.0).unwrap();
        assert!((later.after - 25.0 * 60.0).abs() < 1.0, "the trend has continued since the last point");
        assert_eq!(arrival(100.0, 19 * 60, 1_800.0), None, "beyond the horizon");
        assert_eq!(arrival(f64::INFINITY, 19 * 60, 86_400.0), None);
        assert_eq!(arrival(f64::NAN, 19 * 60, 86_400.0), None);
    }

    #[test]
    fn a_flat_falling_or_short_series_reaches_no_limit() {
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
    fn confidence_is_lower_when_the_trend_would_have_to_be_steeper() {
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
            prop_assert!((plain - raised).abs() < 1e-3, "the level must not change the slope: {} {}", plain, raised);
            prop_assert!((plain + turned).abs() < 1e-3, "reversed points must have the reverse slope: {} {}", plain, turned);
        }

        #[test]
        fn an_arrival_has_only_finite_numbers(
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
