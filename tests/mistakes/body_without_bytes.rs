//! A request whose body does not consist of `Bytes`.
use std::convert::Infallible;

use campanile::Retry;
use campanile::retry::ReplayBody;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceBuilder, service_fn};

async fn pay(_: Request<ReplayBody>) -> Result<Response<ReplayBody>, Infallible> {
    Ok(Response::new(ReplayBody::default()))
}

fn main() -> Result<(), campanile::ConfigError> {
    let retry = Retry::builder().build()?;
    let mut payments = ServiceBuilder::new().layer(retry.http_layer()).service(service_fn(pay));
    let order: Request<Full<&'static [u8]>> = Request::new(Full::new(b"order 7"));
    let _ = payments.call(order);
    Ok(())
}
