//! Points, which scores, costs and risks are counted in.
//!
//! A point is 1/1024, which a float holds exactly: the costs of all reasons add up to what a score lost, to the last bit.

/// All the points there are.
pub(super) const WHOLE: u32 = 1_024;

/// Points as a score or a cost.
pub(super) fn score(points: u32) -> f64 {
    f64::from(points) / f64::from(WHOLE)
}

/// The weighted mean of `lost` in whole points, split by part.
///
/// Each part gets its share without the fraction; the points left over go to the largest fractions.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 1,024.
pub(super) fn shares(weights: &[f64], lost: &[u32]) -> Vec<u32> {
    // The sum of weights may overflow where that of their shares does not.
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    let sum: f64 = weights.iter().map(|weight| weight / heaviest).sum();
    let exact: Vec<f64> =
        weights.iter().zip(lost).map(|(weight, lost)| f64::from(*lost) * (weight / heaviest / sum)).collect();
    let total = (exact.iter().sum::<f64>().round() as u32).min(WHOLE);
    let mut shares: Vec<u32> = exact.iter().map(|exact| exact.floor() as u32).collect();
    let left = total.saturating_sub(shares.iter().sum());
    // Usually few have lost anything.
    let mut order: Vec<usize> = (0..exact.len()).filter(|index| exact[*index].fract() > 0.0).collect();
    order.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
    order.into_iter().take(left as usize).for_each(|index| shares[index] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn small_losses_of_many_components_add_up(number in 1_usize..2_000, lost in 1_u32..=WHOLE) {
            let shares = shares(&vec![1.0; number], &vec![lost; number]);
            prop_assert_eq!(shares.iter().sum::<u32>(), lost);
        }
    }
}
