//! Files that are missing or malformed, and groups that disappear.

use std::fs;
use std::time::Duration;

use super::{Machine, V2_MOUNT, cpu_stat, pass};
use crate::sampler::probe::{Reading, Sample};
use crate::signal::{
    CONTAINER_CPU_TIME, CONTAINER_CPU_USAGE, CONTAINER_MEMORY_EVENTS, CONTAINER_MEMORY_USAGE,
    CONTAINER_MEMORY_UTILIZATION, PRESSURE_TIME,
};

#[test]
fn without_a_group_and_in_the_root_there_are_no_metrics() {
    let nothing = |mut machine: Machine| {
        let read = machine.read();
        assert_eq!(read.0, Sample::default());
        assert!(!machine.limits.cpu() && !machine.limits.memory());
    };
    nothing(Machine::new("", ""));
    nothing(Machine::new("0::/\n", ""));
    // The process was moved out of its namespace.
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
fn malformed_values_are_left_out_and_the_others_are_read() {
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
            read.is(&CONTAINER_MEMORY_USAGE, &[], 100.0);
            if spoilt != "cpu.stat" {
                read.is(&CONTAINER_CPU_TIME, &["user"], 3.0);
            }
            if spoilt != "memory.max" {
                read.is(&CONTAINER_MEMORY_UTILIZATION, &[], 0.5);
            }
            let sane = |reading: &Reading| reading.value.is_finite() && reading.value >= 0.0;
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
    machine.read().is(&CONTAINER_CPU_TIME, &["system"], 1.0);

    // The process was moved. The earlier usage of the new group is not added.
    machine.write("proc/self/cgroup", "0::/two\n");
    pass(Duration::from_secs(1)).await;
    let moved = machine.read();
    moved.is(&CONTAINER_CPU_TIME, &["system"], 1.0);
    moved.is(&CONTAINER_CPU_USAGE, &[], None);
    moved.is(&CONTAINER_MEMORY_EVENTS, &["oom_kill"], 1.0);
    moved.is(&PRESSURE_TIME, &["cpu", "container", "some"], 4.0);
    write(&machine, two, 804_000_000, 71);
    pass(Duration::from_secs(8)).await;
    let later = machine.read();
    later.is(&CONTAINER_CPU_TIME, &["system"], 2.0);
    later.is(&CONTAINER_CPU_USAGE, &[], 0.5);
    later.is(&CONTAINER_MEMORY_EVENTS, &["oom_kill"], 2.0);
    later.is(&PRESSURE_TIME, &["cpu", "container", "some"], 8.0);

    // The group is removed with its mount, and then made again with the same name.
    let (there, gone) = (machine.root.path().join("sys/fs/cgroup"), machine.root.path().join("gone"));
    fs::rename(&there, &gone).unwrap();
    assert_eq!(machine.read().0, Sample::default());
    fs::rename(&gone, &there).unwrap();
    write(&machine, two, 8_000_000, 0);
    machine.read().is(&CONTAINER_CPU_TIME, &["system"], 2.0);
    write(&machine, two, 12_000_000, 1);
    let again = machine.read();
    again.is(&CONTAINER_CPU_TIME, &["system"], 3.0);
    again.is(&CONTAINER_MEMORY_EVENTS, &["oom_kill"], 3.0);
}
