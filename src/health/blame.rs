//! Who is to blame: the component at the bottom, not those that fail because of it.

use std::cmp::Reverse;
use std::sync::Arc;

use super::snapshot::ComponentHealth;
use super::status::Status;

/// What was found out about one component.
#[derive(Clone, Debug, Default)]
enum Below {
    #[default]
    New,
    /// Its dependencies are being looked at.
    Open,
    /// The places of the roots below it, in order.
    Roots(Vec<usize>),
}

/// Names for each component that is not healthy the roots below it, and gives those of the whole: the worst first,
/// then the one that most are to blame on.
///
/// Only components that are not healthy are followed, and those of which nothing is known: whether they are to blame,
/// those below them tell. One of which nothing is known while it [cannot work](is_stranded) names the failing ones.
pub(super) fn blame(components: &mut [ComponentHealth]) -> Vec<Arc<str>> {
    if components.iter().all(|component| !is_bad(component)) {
        return Vec::new();
    }
    let mut below = vec![Below::New; components.len()];
    let mut blamed_by = vec![0_usize; components.len()];
    // Something without which the service works is a cause all the same when what it needs depends on that.
    let mut needed = vec![false; components.len()];
    for place in 0..components.len() {
        if !is_bad(&components[place]) {
            continue;
        }
        let roots = roots_below(place, components, &mut below);
        needed[place] |= roots.is_empty() && !components[place].optional;
        for root in roots {
            blamed_by[*root] += 1;
            needed[*root] |= !components[place].optional;
        }
        let names = roots.iter().map(|root| Arc::clone(&components[*root].name)).collect();
        components[place].because_of = names;
    }
    for place in 0..components.len() {
        let component = &components[place];
        if component.status == Status::Unknown
            && !component.depends_on.is_empty()
            && is_stranded(place, components)
        {
            let roots = roots_below(place, components, &mut below).to_vec();
            roots.iter().for_each(|root| needed[*root] |= component.critical);
            components[place].because_of =
                roots.iter().map(|root| Arc::clone(&components[*root].name)).collect();
        }
    }
    let mut roots: Vec<usize> = (0..components.len()).filter(|place| needed[*place]).collect();
    roots.sort_by_key(|place| (Reverse(components[*place].status), Reverse(blamed_by[*place])));
    roots.into_iter().map(|place| Arc::clone(&components[place].name)).collect()
}

/// Whether the component in that place, of which nothing is known, depends on one that fails: itself, or through others
/// of which nothing is known.
fn is_stranded(place: usize, components: &[ComponentHealth]) -> bool {
    let mut seen = vec![false; components.len()];
    let mut open = vec![place];
    while let Some(next) = open.pop() {
        for dependency in dependencies(&components[next], components) {
            match components[dependency].status {
                status if status.is_failing() => return true,
                Status::Unknown if !std::mem::replace(&mut seen[dependency], true) => open.push(dependency),
                _ => {}
            }
        }
    }
    false
}

fn is_bad(component: &ComponentHealth) -> bool {
    component.status >= Status::Degraded
}

/// The roots below the component in that place. Depth first without recursion: a chain may be as long as there are
/// components.
fn roots_below<'a>(place: usize, components: &[ComponentHealth], below: &'a mut [Below]) -> &'a [usize] {
    let mut way = vec![place];
    while let Some(last) = way.last().copied() {
        if matches!(below[last], Below::Roots(_)) {
            way.pop();
            continue;
        }
        let opened = matches!(below[last], Below::Open);
        below[last] = Below::Open;
        let mut roots = Vec::new();
        let mut waits = false;
        for dependency in dependencies(&components[last], components) {
            match &below[dependency] {
                Below::Roots(found) if found.is_empty() => {
                    roots.extend(is_bad(&components[dependency]).then_some(dependency));
                }
                Below::Roots(found) => roots.extend(found),
                Below::New => {
                    way.push(dependency);
                    waits = true;
                }
                // Cycles are refused; one that came about all the same ends here.
                Below::Open => {}
            }
        }
        if !waits || opened {
            roots.sort_unstable();
            roots.dedup();
            below[last] = Below::Roots(roots);
            way.pop();
        }
    }
    match &below[place] {
        Below::Roots(roots) => roots,
        _ => &[],
    }
}

/// The places of those that it depends on and that are not known to be healthy.
fn dependencies<'a>(
    component: &'a ComponentHealth,
    components: &'a [ComponentHealth],
) -> impl Iterator<Item = usize> + 'a {
    let place = |name: &Arc<str>| components.binary_search_by(|other| other.name.cmp(name)).ok();
    let followed = |place: &usize| components[*place].status != Status::Healthy;
    component.depends_on.iter().filter_map(place).filter(followed)
}
