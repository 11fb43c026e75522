//! Compares container metrics with the kernel's files, in a control group with a quarter of a processor and 256 MiB.
//!
//! If the machine does not allow that, the test prints it and passes. `src/sampler/container/tests` tests recorded groups.

use std::env;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use campanile::Telemetry;

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 256 * MIB;
/// Set in the process in the group: the folders of the group, separated by blanks.
const FOLDERS: &str = "CAMPANILE_TEST_GROUP";

/// The folders of one group. With cgroup version 1, each controller has its own.
#[derive(Clone, Debug)]
struct Group {
    cpu: PathBuf,
    cpu_time: PathBuf,
    memory: PathBuf,
    /// Where the kernel reports pressure.
    unified: Option<PathBuf>,
}

/// Removes the folders when the test ends.
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // The kernel may still count a process that has just ended.
            for _ in 0..500 {
                if fs::remove_dir(folder).is_ok() || !folder.exists() {
                    break;
                }
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

/// The mount of a hierarchy and the group of this process in it. Without a controller, that of version 2.
fn hierarchy(controller: Option<&str>) -> Option<(PathBuf, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let fits = match (kind.next()?, controller) {
            ("cgroup2", None) => true,
            ("cgroup", Some(controller)) => kind.nth(1)?.split(',').any(|name| name == controller),
            _ => false,
        };
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        (fits && root == "/").then(|| PathBuf::from(point))
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let group = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, group) = (parts.next()?, parts.next()?);
        let fits =
            controller.map_or(names.is_empty(), |controller| names.split(',').any(|name| name == controller));
        fits.then(|| group.trim_start_matches('/').to_owned())
    })?;
    Some((mount.clone(), mount.join(group)))
}

/// Makes the group, with its limits.
fn make(made: &mut Made) -> io::Result<Group> {
    let name = format!("campanile-test-{}", std::process::id());
    let mut folder = |above: PathBuf| {
        let folder = above.join(&name);
        if !folder.exists() {
            fs::create_dir(&folder)?;
            made.0.push(folder.clone());
        }
        io::Result::Ok(folder)
    };
    let missing = |what: &str| io::Error::new(io::ErrorKind::NotFound, format!("no hierarchy of {what}"));
    let unified = hierarchy(None);
    if let Some((mount, own)) = &unified
        && fs::read_to_string(mount.join("cgroup.controllers"))?.contains("memory")
    {
        // A group with processes cannot have child groups, so the new group is a sibling of this process's group.
        let above = if own == mount { mount } else { own.parent().unwrap_or(mount) };
        let controllers = fs::read_to_string(above.join("cgroup.subtree_control"))?;
        if !["cpu", "memory"].iter().all(|wanted| controllers.split_whitespace().any(|name| name == *wanted))
        {
            return Err(missing(
                "version 2 with the controllers `cpu` and `memory` for siblings of this group",
            ));
        }
        let own = folder(above.to_owned())?;
        fs::write(own.join("cpu.max"), "25000 100000")?;
        fs::write(own.join("memory.max"), LIMIT.to_string())?;
        // Not every machine has swap accounting.
        let _ = fs::write(own.join("memory.swap.max"), "0");
        return Ok(Group {
            cpu: own.clone(),
            cpu_time: own.clone(),
            memory: own.clone(),
            unified: Some(own),
        });
    }
    let mut of = |controller| folder(hierarchy(Some(controller)).ok_or_else(|| missing(controller))?.1);
    let (cpu, cpu_time, memory) = (of("cpu")?, of("cpuacct")?, of("memory")?);
    fs::write(cpu.join("cpu.cfs_period_us"), "100000")?;
    fs::write(cpu.join("cpu.cfs_quota_us"), "25000")?;
    fs::write(memory.join("memory.limit_in_bytes"), LIMIT.to_string())?;
    // Prevents swapping, so that the limit is reached.
    let _ = fs::write(memory.join("memory.swappiness"), "0");
    let unified = unified
        .map(|(mount, own)| if own == mount { mount } else { own })
        .and_then(|above| folder(above).ok());
    Ok(Group { cpu, cpu_time, memory, unified })
}

impl Group {
    fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> =
            [&self.cpu, &self.cpu_time, &self.memory].map(PathBuf::as_path).to_vec();
        folders.extend(self.unified.as_deref());
        folders
    }

    fn is_version_2(&self) -> bool {
        self.memory.join("memory.max").exists()
    }

    /// The number after `key`, or the first one in the file.
    fn number(&self, folder: &Path, file: &str, key: &str) -> f64 {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let value =
            text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key} in {text}"));
        value.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Processor time in seconds.
    fn cpu_time(&self) -> f64 {
        if self.is_version_2() {
            self.number(&self.cpu, "cpu.stat", "usage_usec ") / 1e6
        } else {
            self.number(&self.cpu_time, "cpuacct.usage", "") / 1e9
        }
    }

    /// Time for which the group was throttled, in seconds.
    fn throttled_time(&self) -> f64 {
        if self.is_version_2() {
            self.number(&self.cpu, "cpu.stat", "throttled_usec ") / 1e6
        } else {
            self.number(&self.cpu, "cpu.stat", "throttled_time ") / 1e9
        }
    }

    fn throttled(&self) -> f64 {
        self.number(&self.cpu, "cpu.stat", "nr_throttled ")
    }

    fn memory(&self) -> f64 {
        let file = if self.is_version_2() { "memory.current" } else { "memory.usage_in_bytes" };
        self.number(&self.memory, file, "")
    }

    fn kills(&self) -> f64 {
        let file = if self.is_version_2() { "memory.events" } else { "memory.oom_control" };
        self.number(&self.memory, file, "oom_kill ")
    }
}

/// Runs a test of this file in its own process, which is in the group from its start.
fn run(test: &str, group: &Group, join: bool) -> ExitStatus {
    let folders: Vec<_> = group.folders().iter().map(|folder| folder.to_str().unwrap().to_owned()).collect();
    let joining = if join {
        r#"for folder in $GROUP; do echo $$ > "$folder/cgroup.procs" || exit 9; done; "#
    } else {
        ""
    };
    Command::new("sh")
        .args(["-c", &format!(r#"{joining}exec "$0" "$@""#)])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env("GROUP", folders.join(" "))
        .env(FOLDERS, folders.join(" "))
        .status()
        .unwrap()
}

#[test]
fn p41_the_limits_of_a_real_control_group_are_reported() {
    let mut made = Made(Vec::new());
    let group = match make(&mut made) {
        Ok(group) => group,
        Err(error) => {
            eprintln!("this machine does not let the test make a control group: {error}");
            return;
        }
    };
    let status = run("container::inside", &group, true);
    assert!(status.success(), "{status}");
}

/// Allocates memory until the kernel kills it. `inside` starts it.
#[test]
#[ignore = "runs in a control group that another test makes"]
fn greedy() {
    if env::var_os(FOLDERS).is_none() {
        return;
    }
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    std::hint::black_box(vec![1_u8; usize::try_from(2 * LIMIT).unwrap()]);
}

#[test]
#[ignore = "runs in a control group that another test makes"]
fn inside() {
    let Ok(folders) = env::var(FOLDERS) else { return };
    let folders: Vec<PathBuf> = folders.split(' ').map(PathBuf::from).collect();
    let group = Group {
        cpu: folders[0].clone(),
        cpu_time: folders[1].clone(),
        memory: folders[2].clone(),
        unified: folders.get(3).cloned(),
    };
    let telemetry =
        Telemetry::builder("test").prometheus().system(Duration::from_millis(100)).build().unwrap();
    let value = |text: &str, metric: &str, label: &str| -> Option<f64> {
        text.lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(metric))
            .find(|line| line.contains(label))
            .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let time = |text: &str| {
        let mode = |mode| value(text, "container_cpu_time_seconds_total", mode);
        mode("cpu_mode=\"user\"").zip(mode("cpu_mode=\"system\"")).map(|(user, system)| user + system)
    };
    // Returns the metrics as soon as `fits` holds.
    let until = |fits: &dyn Fn(&str) -> bool| {
        let text = (0..6_000).find_map(|_| {
            thread::park_timeout(Duration::from_millis(10));
            Some(telemetry.prometheus_text()).filter(|text| fits(text))
        });
        text.unwrap_or_else(|| panic!("the expected metrics did not appear: {}", telemetry.prometheus_text()))
    };

    // Two threads compute: eight times the quota.
    let working = AtomicBool::new(true);
    thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&working);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut sum = 0_u64;
                while working.load(Ordering::Relaxed) {
                    (0..200_000_u64).for_each(|number| sum = std::hint::black_box(sum.wrapping_add(number)));
                }
            });
        }
        until(&|_| group.throttled() >= 3.0);
        let memory = vec![1_u8; usize::try_from(96 * MIB).unwrap()];
        let before = (group.cpu_time(), group.throttled(), group.throttled_time());
        let text = until(&|text| time(text).is_some_and(|time| time > before.0 + 0.05));
        let after = (group.cpu_time(), group.throttled(), group.throttled_time());
        let now = group.memory();
        drop(memory);
        let of = |metric: &str, label: &str| {
            value(&text, metric, label).unwrap_or_else(|| panic!("no {metric} of {label} in {text}"))
        };
        let within = |name: &str, ours: f64, least: f64, most: f64| {
            println!("{name}: {ours}, by the kernel {least} to {most}");
            // Rounding of sums and units.
            let bit = most.abs() * 1e-9;
            assert!((least - bit..=most + bit).contains(&ours), "{name}: {ours} is not in {least}..={most}");
        };
        // Times by mode have a resolution of 10 ms.
        within("processor time", time(&text).unwrap(), before.0 - 0.02, after.0);
        within("limit of processors", of("campanile_container_cpu_limit", ""), 0.25, 0.25);
        let throttled = of("campanile_container_cpu_periods_total", "state=\"throttled\"");
        within("throttled periods", throttled, before.1, after.1);
        let held_back = of("campanile_container_cpu_throttled_time_seconds_total", "");
        within("throttled time", held_back, before.2, after.2);
        let usage = of("container_cpu_usage", "");
        // A period may overlap the interval in part.
        within("processors in use", usage, 0.02, 0.6);
        within("their share", of("campanile_container_cpu_utilization_ratio", ""), usage * 4.0, usage * 4.0);
        let limit = LIMIT as f64;
        within("limit of memory", of("campanile_container_memory_limit_bytes", ""), limit, limit);
        let slack = 8.0 * MIB as f64;
        within("memory", of("container_memory_usage_bytes", ""), now - slack, now + slack);
        let working_set = of("container_memory_working_set_bytes", "");
        within("working set", working_set, 96.0 * MIB as f64, now + slack);
        within("free", of("container_memory_available_bytes", ""), limit - working_set, limit - working_set);
        let share = working_set / limit;
        within("share of memory", of("campanile_container_memory_utilization_ratio", ""), share, share);
        if let Some(unified) = group.unified.as_ref().filter(|folder| folder.join("cpu.pressure").exists()) {
            let total = |folder: &Path| {
                let text = fs::read_to_string(folder.join("cpu.pressure")).unwrap_or_default();
                let total = text.lines().next()?.split_once("total=")?.1;
                Some(total.parse::<f64>().unwrap() / 1e6)
            };
            if let Some(most) = total(unified) {
                let labels = "resource=\"cpu\",scope=\"container\",share=\"some\"";
                within("pressure", of("campanile_pressure_time_seconds_total", labels), 0.001, most);
            }
        }
    });

    // The kernel must kill the other process and not this one.
    let _ = fs::write("/proc/self/oom_score_adj", "-1000");
    // Not every root user may do that. So the quota is removed, and the other process ends quickly.
    let (quota, none) = if group.is_version_2() { ("cpu.max", "max") } else { ("cpu.cfs_quota_us", "-1") };
    fs::write(group.cpu.join(quota), none).unwrap();
    let killed = run("container::greedy", &group, false);
    assert_eq!(killed.signal(), Some(9), "{killed}");
    let kills = group.kills();
    assert!(kills >= 1.0);
    let events = "campanile_container_memory_events_total";
    let text = until(&|text| value(text, events, "event=\"oom_kill\"").is_some_and(|seen| seen >= kills));
    assert_eq!(value(&text, events, "event=\"oom_kill\""), Some(kills));
    assert!(value(&text, events, "event=\"max\"").is_some_and(|met| met >= 1.0), "{text}");
}
