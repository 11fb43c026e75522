//! Root causes: the components that fail by themselves, not because of one that they depend on.

use std::cmp::Reverse;
use std::sync::Arc;

use super::snapshot::ComponentHealth;
use super::status::Status;

/// How far the search below one component is.
#[derive(Clone, Debug, Default)]
enum Search {
    #[default]
    New,
    /// Its dependencies are being searched.
    Open,
    /// The indices of the root causes below it, sorted.
    Done(Vec<usize>),
}

/// Sets [`because_of`](ComponentHealth::because_of) of each component, and returns the root causes of all: the worst
/// first, then the one that most components fail because of.
///
/// The search follows dependencies whose status is not `Healthy`. An `Unknown` component is not itself a cause, but the
/// components below it may be. An `Unknown` component that [cannot work](is_blocked) gets `because_of`, too.
pub(super) fn find_root_causes(components: &mut [ComponentHealth]) -> Vec<Arc<str>> {
    if components.iter().all(|component| !is_unwell(component)) {
        return Vec::new();
    }
    let mut searches = vec![Search::New; components.len()];
    let mut dependents = vec![0_usize; components.len()];
    // An optional component is a root cause only if one that is not optional fails because of it.
    let mut needed = vec![false; components.len()];
    for index in 0..components.len() {
        if !is_unwell(&components[index]) {
            continue;
        }
        let roots = roots_below(index, components, &mut searches);
        needed[index] |= roots.is_empty() && !components[index].optional;
        for root in roots {
            dependents[*root] += 1;
            needed[*root] |= !components[index].optional;
        }
        let names = roots.iter().map(|root| Arc::clone(&components[*root].name)).collect();
        components[index].because_of = names;
    }
    for index in 0..components.len() {
        let component = &components[index];
        if component.status == Status::Unknown
            && !component.depends_on.is_empty()
            && is_blocked(index, components)
        {
            let roots = roots_below(index, components, &mut searches).to_vec();
            roots.iter().for_each(|root| needed[*root] |= component.critical);
            components[index].because_of =
                roots.iter().map(|root| Arc::clone(&components[*root].name)).collect();
        }
    }
    let mut roots: Vec<usize> = (0..components.len()).filter(|index| needed[*index]).collect();
    roots.sort_by_key(|index| (Reverse(components[*index].status), Reverse(dependents[*index])));
    roots.into_iter().map(|index| Arc::clone(&components[index].name)).collect()
}

/// Whether the `Unknown` component at `index` depends on one that fails, directly or through other `Unknown` components.
fn is_blocked(index: usize, components: &[ComponentHealth]) -> bool {
    let mut seen = vec![false; components.len()];
    let mut open = vec![index];
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

fn is_unwell(component: &ComponentHealth) -> bool {
    component.status >= Status::Degraded
}

/// The root causes below the component at `index`. The search is depth first without recursion: a chain can be as long as
/// there are components.
fn roots_below<'a>(index: usize, components: &[ComponentHealth], searches: &'a mut [Search]) -> &'a [usize] {
    let mut path = vec![index];
    while let Some(last) = path.last().copied() {
        if matches!(searches[last], Search::Done(_)) {
            path.pop();
            continue;
        }
        let opened = matches!(searches[last], Search::Open);
        searches[last] = Search::Open;
        let mut roots = Vec::new();
        let mut waits = false;
        for dependency in dependencies(&components[last], components) {
            match &searches[dependency] {
                Search::Done(found) if found.is_empty() => {
                    roots.extend(is_unwell(&components[dependency]).then_some(dependency));
                }
                Search::Done(found) => roots.extend(found),
                Search::New => {
                    path.push(dependency);
                    waits = true;
                }
                // Registration refuses cycles. Should one exist, the search ends here.
                Search::Open => {}
            }
        }
        if !waits || opened {
            roots.sort_unstable();
            roots.dedup();
            searches[last] = Search::Done(roots);
            path.pop();
        }
    }
    match &searches[index] {
        Search::Done(roots) => roots,
        _ => &[],
    }
}

/// The indices of the dependencies whose status is not `Healthy`.
fn dependencies<'a>(
    component: &'a ComponentHealth,
    components: &'a [ComponentHealth],
) -> impl Iterator<Item = usize> + 'a {
    let index = |name: &Arc<str>| components.binary_search_by(|other| other.name.cmp(name)).ok();
    let followed = |index: &usize| components[*index].status != Status::Healthy;
    component.depends_on.iter().filter_map(index).filter(followed)
}
