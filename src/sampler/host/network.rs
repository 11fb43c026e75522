//! Network interfaces, from `/proc/net/dev`.
//!
//! A packet to a container passes the card, a bridge and the container's own interface, and each of these counts it.
//! Reported are the cards, so that their sum is what the machine received and sent. A container sees no card, and its
//! own interface is all that it has: there, what is not known to lie on another one is reported.

use std::path::Path;

use procfs::FromBufRead;
use procfs::net::{DeviceStatus, InterfaceDeviceStatus};

use super::filters::{NameFilter, matches};
use crate::sampler::count;
use crate::sampler::files::Files;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample};
use crate::sampler::snapshot::NetworkSnapshot;
use crate::signal::{
    SYSTEM_NETWORK_DROPPED, SYSTEM_NETWORK_ERRORS, SYSTEM_NETWORK_IO, SYSTEM_NETWORK_PACKETS,
};

/// Loopback, tunnels, bridges, and the outer ends of what leads into containers and virtual machines.
const VIRTUAL: &str = "lo veth* docker* br-* virbr* cni* podman* flannel* cali* cilium* lxc* lxd* kube-* nodelocaldns \
    vxlan* geneve* ovs-* genev_sys* antrea* weave* tun* tap* wg* tailscale* zt* sit* gre* erspan* ip6tnl* ip6_vti* \
    ip6gre* ip_vti* teql* dummy* ifb* nlmon* vnet* vmnet*";

/// Reads the network interfaces.
#[derive(Debug, Default)]
pub(in crate::sampler) struct Networks {
    files: Files,
    filter: NameFilter,
    /// Those that were listed last; without labels the ones that are not reported.
    known: Vec<(String, Option<[DirectionLabels; 2]>)>,
}

#[derive(Debug)]
struct DirectionLabels {
    interface: Labels,
    /// The convention calls it by another name where packets are counted.
    device: Labels,
}

impl Networks {
    pub(in crate::sampler) fn below(root: &Path, filter: NameFilter) -> Self {
        Self { files: Files::below(root), filter, known: Vec::new() }
    }

    /// Calls `take` with each interface that is reported.
    fn each(&mut self, mut take: impl FnMut(&[DirectionLabels; 2], &DeviceStatus)) -> Result<(), ProbeError> {
        let interfaces: Vec<_> = self.files.read("proc/net/dev")?.lines().filter_map(interface).collect();
        if !interfaces.iter().map(|interface| &interface.name).eq(self.known.iter().map(|(name, _)| name)) {
            self.known = recognize(&interfaces, &self.files, &self.filter);
        }
        for (interface, (_, labels)) in interfaces.iter().zip(&self.known) {
            if let Some(labels) = labels {
                take(labels, interface);
            }
        }
        Ok(())
    }

    /// All of them together.
    pub(in crate::sampler) fn totals(&mut self) -> Option<NetworkSnapshot> {
        let mut totals = NetworkSnapshot::default();
        self.each(|_, it| {
            totals.interfaces += 1;
            for (total, more) in [
                (&mut totals.received, [it.recv_bytes, 0]),
                (&mut totals.sent, [it.sent_bytes, 0]),
                (&mut totals.packets, [it.recv_packets, it.sent_packets]),
                (&mut totals.errors, [it.recv_errs, it.sent_errs]),
                (&mut totals.dropped, [it.recv_drop, it.sent_drop]),
            ] {
                *total = more.into_iter().fold(*total, u64::saturating_add);
            }
        })
        .ok()?;
        Some(totals)
    }
}

impl Probe for Networks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.each(|[receive, transmit], it| {
            for (bytes, packets, errors, dropped, labels) in [
                (it.recv_bytes, it.recv_packets, it.recv_errs, it.recv_drop, receive),
                (it.sent_bytes, it.sent_packets, it.sent_errs, it.sent_drop, transmit),
            ] {
                sample.with(&SYSTEM_NETWORK_IO, count(bytes), &labels.interface);
                sample.with(&SYSTEM_NETWORK_PACKETS, count(packets), &labels.device);
                sample.with(&SYSTEM_NETWORK_ERRORS, count(errors), &labels.interface);
                sample.with(&SYSTEM_NETWORK_DROPPED, count(dropped), &labels.interface);
            }
        })
    }
}

/// What a line of the list says. `procfs` makes a map of them all, without their order, and gives up at the first that
/// is malformed; it skips the two lines at the top.
fn interface(line: &str) -> Option<DeviceStatus> {
    let list = InterfaceDeviceStatus::from_buf_read(format!("\n\n{line}").as_bytes()).ok()?;
    list.0.into_values().next()
}

/// How an interface stands to the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It belongs to a device.
    Card,
    /// It belongs to none, and nothing shows that it lies on another one or leads to one.
    Other,
    Virtual,
}

fn recognize(
    interfaces: &[DeviceStatus],
    files: &Files,
    filter: &NameFilter,
) -> Vec<(String, Option<[DirectionLabels; 2]>)> {
    let kinds: Vec<_> = interfaces.iter().map(|interface| kind(files, &interface.name)).collect();
    let cards = kinds.contains(&Kind::Card);
    interfaces
        .iter()
        .zip(kinds)
        .map(|(DeviceStatus { name, .. }, kind)| {
            let by_kind = kind == Kind::Card || kind == Kind::Other && !cards;
            let taken = filter.decide(name).unwrap_or(by_kind);
            (name.clone(), taken.then(|| labels(name)))
        })
        .collect()
}

fn kind(files: &Files, name: &str) -> Kind {
    let folder = files.path("sys/class/net").join(name);
    let has = |what| folder.join(what).exists();
    if VIRTUAL.split(' ').any(|pattern| matches(pattern, name)) {
        Kind::Virtual
    } else if has("device") {
        // A card that a card stands for, as in the clouds: the other one counts for both.
        if has("master/device") { Kind::Virtual } else { Kind::Card }
    } else if has("master") || has("bridge") || has("bonding") {
        Kind::Virtual
    } else {
        Kind::Other
    }
}

fn labels(name: &str) -> [DirectionLabels; 2] {
    ["receive", "transmit"].map(|direction| DirectionLabels {
        interface: Labels::new([("network.interface.name", name), ("network.io.direction", direction)]),
        device: Labels::new([("network.io.direction", direction), ("system.device", name)]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{devices, one, read, tree, write};
    use super::*;

    const HEAD: &str = "Inter-|   Receive                            |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    fn networks(names: &[&str], links: &[&str], filter: &[&str]) -> (tempfile::TempDir, Networks) {
        let root = tree(&[]);
        listed(&root, names);
        links.iter().for_each(|link| write(&root, &format!("sys/class/net/{link}/"), ""));
        let networks = Networks::below(root.path(), NameFilter::new(filter.iter().copied()));
        (root, networks)
    }

    fn listed(root: &tempfile::TempDir, names: &[&str]) {
        let row = |name: &&str| format!("{name:>6}: 1000 20 3 4 0 0 0 0 5000 60 7 8 0 0 0 0\n");
        write(root, "proc/net/dev", &(HEAD.to_owned() + &names.iter().map(row).collect::<String>()));
    }

    fn seen(networks: &mut Networks) -> Vec<String> {
        devices(&read(networks), SYSTEM_NETWORK_IO.name, 0)
    }

    #[test]
    fn p41_a_machine_reports_its_cards() {
        let names =
            ["lo", "eth0", "wlan0", "eth0.100", "br0", "bond0", "docker0", "veth12ab", "tun0", "macvlan1"];
        let (_root, mut networks) = networks(
            &names,
            &["eth0/device", "wlan0/device", "br0/bridge", "bond0/bonding", "eth0/master"],
            &[],
        );
        let readings = read(&mut networks);
        assert_eq!(devices(&readings, SYSTEM_NETWORK_IO.name, 0), ["eth0", "wlan0"]);
        assert_eq!(one(&readings, "system.network.io eth0 receive"), Some(1000.0));
        assert_eq!(one(&readings, "system.network.io eth0 transmit"), Some(5000.0));
        assert_eq!(one(&readings, "system.network.packet.count transmit eth0"), Some(60.0));
        assert_eq!(one(&readings, "system.network.errors eth0 receive"), Some(3.0));
        assert_eq!(one(&readings, "system.network.packet.dropped eth0 transmit"), Some(8.0));
        let totals = networks.totals().unwrap();
        assert_eq!((totals.interfaces, totals.received, totals.sent, totals.packets), (2, 2000, 10_000, 160));
        assert_eq!((totals.errors, totals.dropped), (20, 24));
    }

    #[test]
    fn p41_a_container_reports_its_own_interface() {
        let names = ["lo", "tunl0", "sit0", "ip6tnl0", "gre0", "eth0", "docker0", "vethabc", "br7"];
        let (_root, mut networks) = networks(&names, &["br7/bridge"], &[]);
        assert_eq!(seen(&mut networks), ["eth0"]);
    }

    #[test]
    fn p41_a_card_behind_a_card_is_counted_once() {
        let links = ["eth0/device", "enP1s1/device", "enP1s1/master/device"];
        let (_root, mut networks) = networks(&["lo", "eth0", "enP1s1"], &links, &[]);
        assert_eq!(seen(&mut networks), ["eth0"]);
    }

    #[test]
    fn the_filter_goes_before_the_rule() {
        let (_root, mut networks) = networks(&["lo", "eth0", "eth1"], &["eth0/device"], &["lo", "!eth0"]);
        assert_eq!(seen(&mut networks), ["lo"]);
    }

    #[test]
    fn p41_an_interface_that_goes_away_takes_its_series_away_and_weird_names_are_kept() {
        let names = ["lo", "eth0", "a@b-ö.7\u{1}"];
        let (root, mut networks) = networks(&names, &["eth0/device", "a@b-ö.7\u{1}/device"], &[]);
        assert_eq!(seen(&mut networks), names[1..]);
        listed(&root, &["lo", names[2]]);
        assert_eq!(seen(&mut networks), [names[2]]);
        listed(&root, &names);
        assert_eq!(seen(&mut networks), names[1..]);
    }

    #[test]
    fn malformed_lines_are_left_out_and_a_file_that_is_not_there_is_an_error() {
        let (root, mut networks) = networks(&[], &[], &[]);
        assert_eq!(seen(&mut networks), [""; 0]);
        write(&root, "proc/net/dev", "eth0: 1 2 3\neth1: 1 2 3 4 x 6 7 8 9 10 11 12 13 14 15 16\n:\n\u{0}\n");
        assert_eq!(read(&mut networks), []);
        std::fs::remove_file(root.path().join("proc/net/dev")).unwrap();
        assert!(networks.sample(&mut Sample::default()).is_err());
    }
}
