//! Exemplars of histograms in OpenMetrics text.

use campanile::telemetry::{Sampling, TailSampling};
use opentelemetry::trace::Status;
use tracing::{error, info_span};

use crate::support::Pipeline;

/// The samples of `campanile.span.duration` with an exemplar, and that exemplar.
fn exemplars(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| line.split_once(" # "))
        .map(|(sample, exemplar)| {
            assert!(sample.starts_with("campanile_span_duration_seconds_bucket{"), "{sample}");
            (sample, exemplar)
        })
        .collect()
}

#[test]
fn a_bucket_has_an_exemplar_of_a_sampled_span() {
    let pipeline = Pipeline::with(|builder| builder.prometheus());
    pipeline.run(|| {
        info_span!("order", component = "orders").in_scope(|| ());
        info_span!("query", component = "db").in_scope(|| error!("no rows"));
    });
    let text = pipeline.telemetry.openmetrics_text();
    assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
    assert!(text.contains(
        "# TYPE campanile_span_duration_seconds histogram\n# UNIT campanile_span_duration_seconds seconds\n"
    ));
    assert!(text.contains("\n# TYPE campanile_telemetry_spans_started counter\n"));
    assert!(text.contains("\ncampanile_telemetry_spans_started_total 2\n"), "{text}");
    assert!(text.contains("# TYPE target info\n"), "{text}");
    let found = exemplars(&text);
    assert_eq!(found.len(), 2, "{found:?}");
    for name in ["order", "query"] {
        let span = pipeline.span(name);
        let (sample, exemplar) =
            found.iter().find(|(sample, _)| sample.contains(&format!("span_name=\"{name}\""))).unwrap();
        assert_eq!(sample.contains("error_type=\"_OTHER\""), span.status != Status::Unset, "{sample}");
        let (trace_id, span_id) = (span.span_context.trace_id(), span.span_context.span_id());
        let (ids, rest) = exemplar.split_once("} ").unwrap();
        assert_eq!(ids, format!("{{trace_id=\"{trace_id}\",span_id=\"{span_id}\""));
        let numbers: Vec<f64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
        let took = span.end_time.duration_since(span.start_time).unwrap().as_secs_f64();
        assert_eq!(numbers[0], took);
        let le = sample.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(took <= le.parse::<f64>().unwrap(), "{took} {sample}");
        let end = span.end_time.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!((numbers[1] - end.as_secs_f64()).abs() < 0.01);
    }
    assert!(exemplars(&pipeline.telemetry.prometheus_text()).is_empty(), "Prometheus text has no exemplars");
}

#[test]
fn a_dropped_trace_gives_no_exemplar() {
    let pipeline = Pipeline::with(|builder| builder.prometheus().sampling(Sampling::AlwaysOff));
    pipeline.run(|| drop(info_span!("order")));
    let text = pipeline.telemetry.openmetrics_text();
    assert!(text.contains("campanile_span_duration_seconds_count"), "{text}");
    assert!(exemplars(&text).is_empty(), "{text}");
}

#[test]
fn the_root_of_a_tail_sampled_trace_gives_an_exemplar() {
    let pipeline = Pipeline::with(|builder| {
        builder.prometheus().sampling(Sampling::AlwaysOff).tail_sampling(TailSampling::default())
    });
    pipeline.run(|| {
        drop(info_span!("fine"));
        info_span!("failed").in_scope(|| error!("no rows"));
    });
    let (text, kept) = (pipeline.telemetry.openmetrics_text(), pipeline.span("failed"));
    let found = exemplars(&text);
    let [(sample, exemplar)] = &found[..] else { panic!("{found:?}") };
    assert!(sample.contains("span_name=\"failed\""), "{sample}");
    assert!(exemplar.contains(&format!("trace_id=\"{}\"", kept.span_context.trace_id())), "{exemplar}");
}
