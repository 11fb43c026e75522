//! Invalid settings are refused by name.

use campanile::sampler::{GpuSettings, Sampler, SamplerSettings};

#[test]
fn bad_settings_are_refused_by_name() {
    for (text, setting, value) in [
        (r#"{"every": "99ms"}"#, "sampler.gpu.every", "99ms"),
        (r#"{"every": "2h"}"#, "sampler.gpu.every", "7200s"),
        (r#"{"slow_every": "999ms"}"#, "sampler.gpu.slow_every", "999ms"),
        (r#"{"slow_every": "2h"}"#, "sampler.gpu.slow_every", "7200s"),
        (r#"{"library": ""}"#, "sampler.gpu.library", "\"\""),
    ] {
        let mut settings = SamplerSettings::default();
        settings.gpu = Some(serde_json::from_str(text).unwrap());
        let error = Sampler::from_settings(&settings).unwrap_err();
        assert_eq!((error.setting(), error.value()), (setting, value));
    }
    let error = serde_json::from_str::<GpuSettings>(r#"{"proceses": true}"#).unwrap_err();
    assert!(error.to_string().contains("proceses"), "{error}");
    let settings: GpuSettings = serde_json::from_str("{}").unwrap();
    assert_eq!(settings, GpuSettings::default());
    let text = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<GpuSettings>(&text).unwrap(), settings);
}
