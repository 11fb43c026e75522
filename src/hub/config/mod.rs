//! One configuration: defaults, preset, file, environment, arguments.
