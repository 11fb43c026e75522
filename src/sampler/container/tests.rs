//! Groups as they were recorded, in a folder that stands for the machine.

use std::fs;
use std::time::Duration;

use super::probe::Container;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Probe, Sample, Watched};
use crate::sampler::text::Files;

const UNLIMITED: &str = "9223372036854771712";
const V2_MOUNT: &str =
    "30 24 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n";

struct Machine {
    root: tempfile::TempDir,
    limits: Limits,
    container: Container,
}

impl Machine {
    /// Four processors and 8 GiB.
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let container = Container::new(Files::below(root.path()), limits.clone());
        let machine = Self { root, limits, container };
        machine.write("proc/self/cgroup", cgroup);
        machine.write("proc/self/mountinfo", mountinfo);
        machine.write("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         1 kB\n");
        machine.write("sys/devices/system/cpu/online", "0-3\n");
        machine
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Files of one group, each after its name.
    fn group(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("{folder}/{name}"), text);
        }
        self.write(&format!("{folder}/cgroup.procs"), "1\n");
    }

    fn v2(&self, folder: &str, files: &[(&str, &str)]) {
        self.group(folder, files);
        self.write(&format!("{folder}/cgroup.events"), "populated 1\nfrozen 0\n");
    }

    fn read(&mut self) -> Read {
        let mut sample = Sample::default();
        self.container.sample(&mut sample).unwrap();
        Read(sample)
    }
}

struct Read(Sample);

impl Read {
    /// The series of that name whose labels have these values.
    fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let mut found = self.0.readings.iter().filter(|reading| {
            reading.metric.name == name
                && reading.labels.with(|own| own.iter().map(|(_, value)| *value).eq(labels.iter().copied()))
        });
        let value = found.next().map(|reading| reading.value);
        assert!(found.next().is_none(), "{name} {labels:?} is there twice");
        value
    }

    #[track_caller]
    fn is(&self, name: &str, labels: &[&str], wanted: impl Into<Option<f64>>) {
        let (value, wanted) = (self.get(name, labels), wanted.into());
        let close = value.zip(wanted).is_some_and(|(value, wanted)| (value - wanted).abs() < 1e-9);
        assert!(close || value.is_none() && wanted.is_none(), "{name} {labels:?}: {value:?}, not {wanted:?}");
    }

    fn watched(&self) -> Vec<(Watched, f64)> {
        self.0.figures.iter().map(|figure| (figure.watched, figure.value)).collect()
    }
}

fn cpu_stat(usage: u64, periods: u64, throttled: u64) -> String {
    format!(
        "usage_usec {usage}\nuser_usec {}\nsystem_usec {}\nnice_usec 0\nnr_periods {periods}\n\
         nr_throttled {throttled}\nthrottled_usec {}\nnr_bursts 0\nburst_usec 0\n",
        usage / 4 * 3,
        usage / 4,
        throttled * 50_000
    )
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

#[tokio::test(start_paused = true)]
async fn p41_docker_with_version_2() {
    // A namespace of its own: the group is seen as the root, and is none.
    let mut machine = Machine::new("0::/\n", V2_MOUNT);
    let own = "sys/fs/cgroup";
    machine.v2(
        own,
        &[
            ("cpu.max", "50000 100000\n"),
            ("cpu.stat", &cpu_stat(8_000_000, 100, 30)),
            ("cpuset.cpus.effective", "0-3\n"),
            ("memory.current", "400000000\n"),
            ("memory.max", "536870912\n"),
            ("memory.high", "max\n"),
            ("memory.stat", "anon 250000000\nfile 150000000\nkernel 1\ninactive_anon 5\ninactive_file 100000000\n"),
            ("memory.events", "low 9\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("cpu.pressure", "some avg10=25.00 avg60=1.00 avg300=1.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("memory.pressure", "some avg10=1.00 avg60=1.00 avg300=1.00 total=7\n"),
        ],
    );
    let first = machine.read();
    first.is("container.cpu.time", &["user"], 6.0);
    first.is("container.cpu.time", &["system"], 2.0);
    first.is("container.cpu.usage", &[], None);
    first.is("campanile.container.cpu.limit", &[], 0.5);
    first.is("campanile.container.cpu.utilization", &[], None);
    first.is("campanile.container.cpu.periods", &["throttled"], 30.0);
    first.is("campanile.container.cpu.periods", &["unthrottled"], 70.0);
    first.is("campanile.container.cpu.throttled.time", &[], 1.5);
    first.is("container.memory.usage", &[], 400_000_000.0);
    first.is("container.memory.working_set", &[], 300_000_000.0);
    first.is("container.memory.available", &[], 236_870_912.0);
    first.is("campanile.container.memory.limit", &[], 536_870_912.0);
    first.is("campanile.container.memory.utilization", &[], 300_000_000.0 / 536_870_912.0);
    for (event, times) in [("high", 0.0), ("max", 17.0), ("oom", 3.0), ("oom_kill", 2.0)] {
        first.is("campanile.container.memory.events", &[event], times);
    }
    first.is("campanile.pressure.time", &["cpu", "container", "some"], 2.5);
    first.is("campanile.pressure.recent", &["cpu", "container", "some"], 0.25);
    first.is("campanile.pressure.time", &["memory", "container", "some"], 7e-6);
    first.is("campanile.pressure.time", &["memory", "container", "full"], None);
    assert!(machine.limits.cpu() && machine.limits.memory());
    assert_eq!(first.watched(), [(Watched::Memory, 300_000_000.0 / 536_870_912.0)]);

    pass(Duration::from_secs(10)).await;
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(12_000_000, 200, 130));
    let second = machine.read();
    second.is("container.cpu.usage", &[], 0.4);
    second.is("campanile.container.cpu.utilization", &[], 0.8);
    assert_eq!(second.watched()[0], (Watched::Cpu, 0.8));

    // The limits are taken away while it runs.
    machine.write(&format!("{own}/cpu.max"), "max 100000\n");
    machine.write(&format!("{own}/memory.max"), "max\n");
    pass(Duration::from_secs(10)).await;
    let third = machine.read();
    third.is("container.cpu.usage", &[], 0.0);
    for name in [
        "campanile.container.cpu.limit",
        "campanile.container.cpu.utilization",
        "campanile.container.cpu.throttled.time",
        "campanile.container.memory.limit",
        "campanile.container.memory.utilization",
        "container.memory.available",
    ] {
        third.is(name, &[], None);
    }
    assert!(!machine.limits.cpu() && !machine.limits.memory() && third.watched().is_empty());
}

/// The hierarchies of a container of Docker with version 1: each mount shows the container's group alone.
fn docker_v1() -> Machine {
    let mut mountinfo = String::new();
    for (number, controllers) in ["cpu,cpuacct", "memory", "cpuset"].into_iter().enumerate() {
        mountinfo += &format!(
            "{number} 24 0:26 /docker/3f4a /sys/fs/cgroup/{controllers} ro,nosuid master:11 - cgroup cgroup rw,{controllers}\n"
        );
    }
    let cgroup = "12:memory:/docker/3f4a\n7:cpu,cpuacct:/docker/3f4a\n3:cpuset:/docker/3f4a\n1:name=systemd:/docker/3f4a\n";
    let machine = Machine::new(cgroup, &mountinfo);
    machine.group(
        "sys/fs/cgroup/cpu,cpuacct",
        &[
            ("cpu.cfs_quota_us", "150000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n"),
            ("cpuacct.usage", "3000000000\n"),
            ("cpuacct.usage_user", "2000000000\n"),
            ("cpuacct.usage_sys", "1000000000\n"),
        ],
    );
    machine.group("sys/fs/cgroup/cpuset", &[("cpuset.cpus", "0-3\n"), ("cpuset.effective_cpus", "1\n")]);
    machine.group(
        "sys/fs/cgroup/memory",
        &[
            ("memory.usage_in_bytes", "200000000\n"),
            ("memory.limit_in_bytes", "400000000\n"),
            ("memory.use_hierarchy", "1\n"),
            ("memory.failcnt", "5\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            (
                "memory.stat",
                "cache 1\ninactive_file 9\nhierarchical_memory_limit 400000000\ntotal_inactive_file 50000000\n",
            ),
        ],
    );
    machine
}

#[tokio::test(start_paused = true)]
async fn p41_docker_with_version_1() {
    let mut machine = docker_v1();
    let first = machine.read();
    first.is("container.cpu.time", &["user"], 2.0);
    first.is("container.cpu.time", &["system"], 1.0);
    // One processor in its set, although the quota would allow one and a half.
    first.is("campanile.container.cpu.limit", &[], 1.0);
    first.is("campanile.container.cpu.periods", &["throttled"], 4.0);
    first.is("campanile.container.cpu.periods", &["unthrottled"], 6.0);
    first.is("campanile.container.cpu.throttled.time", &[], 2.5);
    first.is("container.memory.working_set", &[], 150_000_000.0);
    first.is("campanile.container.memory.limit", &[], 400_000_000.0);
    first.is("campanile.container.memory.utilization", &[], 0.375);
    first.is("campanile.container.memory.events", &["max"], 5.0);
    first.is("campanile.container.memory.events", &["oom_kill"], 1.0);
    first.is("campanile.container.memory.events", &["high"], None);
    assert!(machine.limits.cpu() && machine.limits.memory());

    pass(Duration::from_secs(2)).await;
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "4500000000\n");
    let second = machine.read();
    second.is("container.cpu.usage", &[], 0.75);
    second.is("campanile.container.cpu.utilization", &[], 0.75);

    // No limits: the quota is -1, the limit of memory the largest number of pages.
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    machine.write("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-3\n");
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", &format!("{UNLIMITED}\n"));
    machine.write("sys/fs/cgroup/memory/memory.stat", &format!("hierarchical_memory_limit {UNLIMITED}\n"));
    let third = machine.read();
    third.is("campanile.container.cpu.limit", &[], None);
    third.is("campanile.container.memory.limit", &[], None);
    assert!(!machine.limits.cpu() && !machine.limits.memory());
}

#[test]
fn p41_a_limit_of_version_1_that_is_set_where_it_cannot_be_seen() {
    let mut machine = docker_v1();
    machine.write("sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 250000000\n");
    let read = machine.read();
    read.is("campanile.container.memory.limit", &[], 250_000_000.0);
    read.is("campanile.container.memory.utilization", &[], 0.8);
    read.is("container.memory.available", &[], 50_000_000.0);
}

#[tokio::test(start_paused = true)]
async fn p41_kubernetes_where_the_pod_has_the_smaller_limit() {
    let (slice, pod) = ("sys/fs/cgroup/kubepods.slice", "sys/fs/cgroup/kubepods.slice/kubepods-pod7.slice");
    let own = format!("{pod}/cri-containerd-1a.scope");
    let mut machine =
        Machine::new("0::/kubepods.slice/kubepods-pod7.slice/cri-containerd-1a.scope\n", V2_MOUNT);
    machine.group("sys/fs/cgroup", &[("cpu.stat", "usage_usec 1\n"), ("memory.stat", "anon 1\n")]);
    let group = |folder: &str, cpu: &str, usage: u64, memory: &str, used: u64, kills: u64| {
        machine.v2(
            folder,
            &[
                ("cpu.max", cpu),
                ("cpu.stat", &cpu_stat(usage, usage / 100_000, usage / 200_000)),
                ("memory.max", memory),
                ("memory.high", "max\n"),
                ("memory.current", &format!("{used}\n")),
                ("memory.stat", "inactive_file 0\n"),
                ("memory.events", &format!("low 0\nhigh 0\nmax {kills}\noom {kills}\noom_kill {kills}\n")),
            ],
        );
    };
    group(slice, "max 100000\n", 90_000_000, "6000000000\n", 900_000_000, 50);
    group(pod, "100000 100000\n", 2_000_000, "1000000000\n", 800_000_000, 4);
    group(&own, "200000 100000\n", 1_000_000, "2000000000\n", 300_000_000, 1);
    let first = machine.read();
    first.is("campanile.container.cpu.limit", &[], 1.0);
    first.is("campanile.container.cpu.periods", &["throttled"], 10.0);
    first.is("container.memory.usage", &[], 300_000_000.0);
    first.is("campanile.container.memory.limit", &[], 1_000_000_000.0);
    // What the neighbour in the pod has is not to be had.
    first.is("container.memory.available", &[], 200_000_000.0);
    first.is("campanile.container.memory.utilization", &[], 0.8);
    // The limit was met in the pod; who was killed is told of this container alone.
    first.is("campanile.container.memory.events", &["oom"], 4.0);
    first.is("campanile.container.memory.events", &["oom_kill"], 1.0);

    pass(Duration::from_secs(1)).await;
    machine.write(&format!("{pod}/cpu.stat"), &cpu_stat(2_900_000, 30, 20));
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(1_200_000, 0, 0));
    let second = machine.read();
    second.is("container.cpu.usage", &[], 0.2);
    second.is("campanile.container.cpu.utilization", &[], 0.9);
    second.is("campanile.container.cpu.periods", &["throttled"], 20.0);

    // Now the container's own quota is the smallest: its counters are others, and nothing has happened.
    machine.write(&format!("{own}/cpu.max"), "50000 100000\n");
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(1_200_000, 700, 600));
    pass(Duration::from_secs(1)).await;
    machine.read().is("campanile.container.cpu.periods", &["throttled"], 20.0);
}

#[test]
fn p41_a_service_of_systemd() {
    // As the machine sees it: no quota, a soft limit of memory, two of four processors.
    let mut machine = Machine::new("0::/system.slice/odd name.service\n", V2_MOUNT);
    machine.group("sys/fs/cgroup", &[("cpu.stat", "usage_usec 5\n")]);
    machine.v2("sys/fs/cgroup/system.slice", &[("cpu.max", "max 100000\n"), ("memory.max", "max\n")]);
    machine.v2(
        "sys/fs/cgroup/system.slice/odd name.service",
        &[
            ("cpu.max", "max 100000\n"),
            ("cpu.stat", "usage_usec 40\nuser_usec 30\nsystem_usec 10\n"),
            ("cpuset.cpus.effective", "1,3\n"),
            ("memory.current", "30\n"),
            ("memory.max", "max\n"),
            ("memory.high", "100\n"),
        ],
    );
    let read = machine.read();
    read.is("campanile.container.cpu.limit", &[], 2.0);
    read.is("campanile.container.cpu.periods", &["throttled"], None);
    read.is("campanile.container.memory.limit", &[], 100.0);
    read.is("container.memory.working_set", &[], 30.0);
    assert!(machine.limits.cpu() && machine.limits.memory());

    // A limit beyond what the machine has is told, and not in force.
    machine.write("sys/fs/cgroup/system.slice/odd name.service/memory.high", "90000000000\n");
    machine.write("sys/fs/cgroup/system.slice/odd name.service/cpuset.cpus.effective", "0-3\n");
    machine.write("sys/fs/cgroup/system.slice/odd name.service/cpu.max", "800000 100000\n");
    let read = machine.read();
    read.is("campanile.container.cpu.limit", &[], 4.0);
    read.is("campanile.container.memory.limit", &[], 90_000_000_000.0);
    assert!(!machine.limits.cpu() && !machine.limits.memory() && read.watched().is_empty());
}

#[test]
fn p41_both_versions_at_once() {
    let mountinfo = "1 2 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        2 2 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        3 2 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let cgroup = "5:memory:/user.slice\n4:cpu,cpuacct:/\n0::/user.slice/session.scope\n";
    let mut machine = Machine::new(cgroup, mountinfo);
    // The root of a hierarchy is the machine, and not to be taken for a container.
    let roots =
        [("cgroup.sane_behavior", "0\n"), ("cpuacct.usage", "77\n"), ("memory.usage_in_bytes", "88\n")];
    machine.group("sys/fs/cgroup/cpu,cpuacct", &roots);
    machine.group("sys/fs/cgroup/memory", &roots);
    machine.group(
        "sys/fs/cgroup/memory/user.slice",
        &[("memory.usage_in_bytes", "500\n"), ("memory.limit_in_bytes", "1000\n")],
    );
    machine.group("sys/fs/cgroup/unified", &[]);
    machine.v2("sys/fs/cgroup/unified/user.slice", &[]);
    machine.v2(
        "sys/fs/cgroup/unified/user.slice/session.scope",
        &[
            ("cpu.stat", "usage_usec 1\n"),
            ("io.pressure", "full avg10=50.00 avg60=0 avg300=0 total=1000000\n"),
        ],
    );
    let read = machine.read();
    read.is("container.memory.usage", &[], 500.0);
    read.is("campanile.container.memory.utilization", &[], 0.5);
    read.is("container.cpu.time", &["user"], None);
    read.is("container.cpu.time", &[], None);
    read.is("campanile.container.cpu.limit", &[], None);
    read.is("campanile.pressure.recent", &["io", "container", "full"], 0.5);
    assert!(!machine.limits.cpu() && machine.limits.memory());
}

#[test]
fn no_group_and_the_root_of_a_hierarchy_tell_nothing() {
    let nothing = |mut machine: Machine| {
        let read = machine.read();
        assert_eq!(read.0, Sample::default());
        assert!(!machine.limits.cpu() && !machine.limits.memory());
    };
    nothing(Machine::new("", ""));
    nothing(Machine::new("0::/\n", ""));
    // Not below a mount: moved out of its namespace.
    let machine = Machine::new("0::/../other\n", V2_MOUNT);
    machine.v2("sys/fs/cgroup", &[("memory.current", "1\n")]);
    nothing(machine);
    let machine = Machine::new("0::/\n", V2_MOUNT);
    machine.group("sys/fs/cgroup", &[("cpu.stat", &cpu_stat(5, 0, 0)), ("memory.stat", "anon 1\n")]);
    nothing(machine);
    // A kernel without control groups has no such file.
    let machine = Machine::new("", "");
    fs::remove_file(machine.root.path().join("proc/self/cgroup")).unwrap();
    nothing(machine);
}

#[test]
fn what_is_malformed_is_left_out_and_the_rest_is_read() {
    let malformed: [&[u8]; 8] = [
        b"",
        b"\n",
        b"max",
        b"-5 100000",
        b"\xff\xfe 1",
        b"1e9 0",
        b"99999999999999999999999 1",
        b"usage_usec\nmax 0\nsome avg10=x total=",
    ];
    for bad in malformed {
        for spoilt in
            ["cpu.max", "cpu.stat", "cpuset.cpus.effective", "memory.max", "memory.stat", "memory.events"]
        {
            let mut machine = Machine::new("0::/x\n", V2_MOUNT);
            let own = "sys/fs/cgroup/x";
            machine.v2(
                own,
                &[
                    ("cpu.max", "100000 100000\n"),
                    ("cpu.stat", &cpu_stat(4_000_000, 3, 1)),
                    ("memory.current", "100\n"),
                    ("memory.max", "200\n"),
                ],
            );
            fs::write(machine.root.path().join(own).join(spoilt), bad).unwrap();
            let read = machine.read();
            read.is("container.memory.usage", &[], 100.0);
            if spoilt != "cpu.stat" {
                read.is("container.cpu.time", &["user"], 3.0);
            }
            if spoilt != "memory.max" {
                read.is("campanile.container.memory.utilization", &[], 0.5);
            }
            let sane =
                |reading: &crate::sampler::probe::Reading| reading.value.is_finite() && reading.value >= 0.0;
            assert!(read.0.readings.iter().all(sane), "{spoilt} {bad:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p40_a_group_that_is_left_or_vanishes_makes_no_counter_jump() {
    let mut machine = Machine::new("0::/one\n", V2_MOUNT);
    let files = |usage: u64, kills: u64| {
        [
            ("cpu.stat", cpu_stat(usage, 0, 0)),
            ("memory.current", "5\n".to_owned()),
            ("memory.events", format!("oom_kill {kills}\n")),
            ("cpu.pressure", format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={usage}\n")),
        ]
    };
    let write = |machine: &Machine, folder: &str, usage, kills| {
        for (name, text) in files(usage, kills) {
            machine.v2(folder, &[(name, &text)]);
        }
    };
    let (one, two) = ("sys/fs/cgroup/one", "sys/fs/cgroup/two");
    write(&machine, one, 4_000_000, 1);
    write(&machine, two, 800_000_000, 70);
    machine.read().is("container.cpu.time", &["system"], 1.0);

    // Moved: what the other group did before is not what this process's container did since.
    machine.write("proc/self/cgroup", "0::/two\n");
    pass(Duration::from_secs(1)).await;
    let moved = machine.read();
    moved.is("container.cpu.time", &["system"], 1.0);
    moved.is("container.cpu.usage", &[], None);
    moved.is("campanile.container.memory.events", &["oom_kill"], 1.0);
    moved.is("campanile.pressure.time", &["cpu", "container", "some"], 4.0);
    write(&machine, two, 804_000_000, 71);
    pass(Duration::from_secs(8)).await;
    let later = machine.read();
    later.is("container.cpu.time", &["system"], 2.0);
    later.is("container.cpu.usage", &[], 0.5);
    later.is("campanile.container.memory.events", &["oom_kill"], 2.0);
    later.is("campanile.pressure.time", &["cpu", "container", "some"], 8.0);

    // Gone, with its mount, and then there again, under the old name and from the start.
    let (there, gone) = (machine.root.path().join("sys/fs/cgroup"), machine.root.path().join("gone"));
    fs::rename(&there, &gone).unwrap();
    assert_eq!(machine.read().0, Sample::default());
    fs::rename(&gone, &there).unwrap();
    write(&machine, two, 8_000_000, 0);
    machine.read().is("container.cpu.time", &["system"], 2.0);
    write(&machine, two, 12_000_000, 1);
    let again = machine.read();
    again.is("container.cpu.time", &["system"], 3.0);
    again.is("campanile.container.memory.events", &["oom_kill"], 3.0);
}
